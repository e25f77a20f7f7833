# Runs in Pyodide when the static site is built (site.mjs): packs a folder of Python code into an archive, with bytecode for this Python.
import importlib.util
import io
import zipfile
from pathlib import Path


def pack(folder, root):
    """Return the archive's bytes. `root` is the folder in which it is unpacked later."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            name = str(path.relative_to(folder))
            data = path.read_bytes()
            # No time of day, so that the same files give the same archive.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)
            if path.suffix == ".py":
                code = compile(data, f"{root}/{name}", "exec", dont_inherit=True)
                digest = importlib.util.source_hash(data)
                # The bytecode is not compared with the source, because nobody changes it.
                compiled = importlib._bootstrap_external._code_to_hash_pyc(code, digest, checked=False)
                archive.writestr(
                    zipfile.ZipInfo(importlib.util.cache_from_source(name)), bytes(compiled), zipfile.ZIP_DEFLATED, 9
                )
    return out.getvalue()
