"""``vixtui cache list | clear``: decoded pictures that later runs need not decode again."""

from __future__ import annotations

import time

import typer

from vixtui.cli import narrate, output
from vixtui.cli.options import Json

app = typer.Typer()


@app.callback(invoke_without_command=True, epilog="Example: vixtui cache list")
def cache(context: typer.Context) -> None:
    """Look at the decoded pictures that are kept on disk. Alone: list them."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list", epilog="Example: vixtui cache list --json")
def list_(json: Json = False) -> None:
    """List what is kept, the folder used last first.

    At most 20 GB are kept, or one folder's that alone are more; what was not used for the longest
    time goes first.
    """
    from vixtui.data.cache_folder import cache_files
    from vixtui.paths import cache_dir
    from vixtui.text import counted, format_bytes

    files = cache_files()
    if json:
        output.print_json(
            {
                "folder": str(cache_dir()),
                "bytes": sum(file.bytes for file in files),
                "files": [
                    {
                        "file": file.path.name,
                        "source": file.source,
                        "bytes": file.bytes,
                        "used": file.used,
                    }
                    for file in files
                ],
            }
        )
        return
    if files:
        rows = [
            (
                file.source or "unreadable",
                format_bytes(file.bytes),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(file.used)),
            )
            for file in files
        ]
        output.print_table(("pictures of", "size", "last used"), rows)
    total = format_bytes(sum(file.bytes for file in files))
    output.print_line(f"{counted(len(files), 'file')}, {total} in {cache_dir()}")


@app.command(epilog="Example: vixtui cache clear")
def clear(json: Json = False) -> None:
    """Remove all of it; the next run of a folder decodes its pictures again."""
    from vixtui.data.cache_folder import cache_files, clear_cache
    from vixtui.errors import DiskError
    from vixtui.paths import cache_dir
    from vixtui.text import counted, format_bytes

    freed = clear_cache()
    if left := len(cache_files()):
        raise DiskError(
            f"{counted(left, 'file')} cannot be removed, {format_bytes(freed)} freed",
            where=cache_dir(),
            remedy="is the folder read-only, or a file in use?",
        )
    if json:
        output.print_json({"freed_bytes": freed})
    else:
        narrate.note(f"freed {format_bytes(freed)}")
