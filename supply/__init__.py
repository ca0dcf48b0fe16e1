"""What we ship that others wrote: which packages, under which licences."""
