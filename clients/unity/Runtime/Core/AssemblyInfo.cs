using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Gamedojo.Tests")]
