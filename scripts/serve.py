"""Serve the built site on this computer and print its address; Ctrl-C ends it.

python scripts/serve.py [folder] [--port N]
"""

import argparse
import functools
import http.server
from pathlib import Path

SITE = Path(__file__).resolve().parents[1] / "book" / "_build" / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of each."""

    def log_message(self, *_):
        pass


def server(folder: Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of a folder's files for this computer only, at any free port if `port` is 0."""
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Quiet, directory=str(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SITE)
    parser.add_argument("--port", type=int, default=8000, help="another one is taken if it is in use")
    args = parser.parse_args()
    try:
        site = server(args.folder, args.port)
    except OSError:
        site = server(args.folder)
    print(f"The book is at http://127.0.0.1:{site.server_port}/ (Ctrl-C ends this)", flush=True)
    try:
        site.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
