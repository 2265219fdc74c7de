"""Where the files of a run lie: in a folder on a disk, or in a blob store (gs://, az://) through blobfile."""

import re
import shutil
import tempfile
import weakref
from pathlib import Path

from core.errors import Unreadable, Unwritable

BLOB = re.compile(r"(gs|az|https):/+(.+)")  # pathlib folds the two slashes of gs://bucket/run into one


def blob_url(place: Path) -> str | None:
    """The URL that a path stands for; None if it is a path on a disk."""
    match = BLOB.fullmatch(place.as_posix())
    return f"{match[1]}://{match[2].rstrip('/')}" if match else None


class Store:
    """Files by name.  All are written and read in `folder`, with pathlib.

    For a blob store that is a scratch folder, empty at first: `fetch` copies a file from the store before it is read,
    `keep` copies to it what was written, where each file appears whole.  On a disk both do nothing.
    Raises BadInput if the store cannot be reached.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.remote = blob_url(place)
        self.folder = place
        if self.remote is not None:
            self.folder = Path(tempfile.mkdtemp(prefix="lipsync-"))
            weakref.finalize(self, shutil.rmtree, self.folder)          # with this object, at the latest at the exit

    def fetch(self, name: str) -> Path:
        """The path of a file, which need not exist."""
        path = self.folder / name
        if self.remote is not None:
            import blobfile

            try:
                if blobfile.exists(f"{self.remote}/{name}"):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    blobfile.copy(f"{self.remote}/{name}", str(path), overwrite=True)
            except blobfile.Error as problem:
                raise Unreadable(
                    f"{self.remote}: cannot be read ({problem}); check the name and the login"
                ) from problem
        return path

    def keep(self, name: str) -> None:
        """Copies a file, or all files of a folder if there is one, to where it is to stay."""
        path = self.folder / name
        if self.remote is None or not path.exists():
            return
        import blobfile

        for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
            target = f"{self.remote}/{file.relative_to(self.folder).as_posix()}"
            try:
                blobfile.makedirs(blobfile.dirname(target))
                blobfile.copy(str(file), target, overwrite=True)
            except blobfile.Error as problem:
                raise Unwritable(
                    f"{target}: cannot be written ({problem}); check the login and its rights"
                ) from problem

    def names(self, folder: str) -> list[str]:
        """The files of a folder, sorted; none if there is no such folder."""
        if self.remote is None:
            path = self.folder / folder
            return sorted(each.name for each in path.iterdir()) if path.is_dir() else []
        import blobfile

        url = f"{self.remote}/{folder}"
        return sorted(blobfile.listdir(url)) if blobfile.isdir(url) else []

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        if self.remote is not None:
            import blobfile

            blobfile.remove(f"{self.remote}/{name}")
