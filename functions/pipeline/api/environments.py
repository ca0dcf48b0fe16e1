"""The control API's registry: environments that were mirrored, so that a run may name one by its id."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.aws import clients
from pipeline.aws.environments import EnvironmentMirror
from pipeline.aws.objects import ObjectStore
from pipeline.contracts.environments import DeletedEnvironment, MirrorRequest, RegistryEntry, RegistryListing
from pipeline.errors import ConflictError, EnvironmentNotMirroredError
from pipeline.rules.environments import PREFIX, build_folder, build_key, entry_key


@dataclass(frozen=True)
class Environments:
    """The mirror in one bucket.

    Every method raises ThrottledError or ServiceUnavailableError when S3 cannot answer; the call may be repeated.
    """

    mirror: EnvironmentMirror
    objects: ObjectStore

    def list(self) -> RegistryListing:
        """What is mirrored."""
        return RegistryListing(environments=self.mirror.entries())

    def get(self, environment: str) -> RegistryEntry:
        """One environment.

        Raises:
            EnvironmentNotMirroredError: it is not there; the message names those that are.
        """
        found = self.mirror.find(environment)
        if found is not None:
            return found
        known = ", ".join(entry.environment for entry in self.mirror.entries()) or "none"
        raise EnvironmentNotMirroredError(
            f"The environment {environment} was not mirrored into this stack's bucket; mirrored are: {known}.",
            f"Mirror it once: `gamedojo registry mirror {environment}` on a machine with internet, or with --from and "
            f"a folder that holds {environment}.zip.",
        )

    def add(self, request: MirrorRequest) -> RegistryEntry:
        """Make an upload the build of an environment. The same zip once more changes nothing.

        Its hash is written down as the request says it; each run on it finds out whether that is true.

        Raises:
            BuildNotFoundError: there is no such upload.
            ConflictError: another zip was mirrored under this id, and the request does not say to replace it.
        """
        head = self.objects.head(request.key)
        known = self.mirror.find(request.environment)
        if known is not None and not request.replace:
            return _same(known, request)
        key = build_key(request.environment, request.sha256)
        self.objects.copy(request.key, key, head.version_id)
        entry = RegistryEntry(
            environment=request.environment,
            key=key,
            sha256=request.sha256,
            size_bytes=head.size_bytes,
            source=request.source,
            arguments=request.arguments,
            expected_return=request.expected_return,
            description=request.description,
            mirrored_at=datetime.now(UTC),
        )
        return _same(self.mirror.keep(entry, replace=request.replace), request)

    def delete(self, environment: str) -> DeletedEnvironment:
        """Forget an environment, with the zips that were mirrored under its id. Runs keep copies of their own.

        Raises:
            EnvironmentNotMirroredError: it is not there; the message names those that are.
        """
        found = self.get(environment)
        self.objects.delete(entry_key(found.environment))  # first: what is listed has its zip
        self.objects.delete_all(build_folder(found.environment))
        return DeletedEnvironment(environment=found.environment)


def connect(bucket: str) -> Environments:
    """The mirror in a bucket."""
    s3 = clients.s3()
    return Environments(EnvironmentMirror(s3, bucket, PREFIX), ObjectStore(s3, bucket))


def _same(entry: RegistryEntry, request: MirrorRequest) -> RegistryEntry:
    if entry.sha256 == request.sha256:
        return entry
    raise ConflictError(
        f"{entry.environment} was mirrored with another zip, of the SHA-256 {entry.sha256}, from {entry.source}.",
        "Runs go on with that one; to have the new one in its place, ask for it: replace, or --replace.",
    )
