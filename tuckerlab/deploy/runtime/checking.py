"""What `tuckerlab check` does: the table of a run, or the check of one file.

>>> check(Path("no/such/file"))
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: no/such/file: there is no such file or folder; give a run, an exported file or a ...
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from rich.console import Console

from tuckerlab.data import ImageData, load_data
from tuckerlab.deploy.runtime import Deployment, measure_deployment, tables
from tuckerlab.deploy.runtime.file import in_inference, open_model, origin
from tuckerlab.deploy.runtime.measuring import BATCHES, ROUNDS, SECONDS
from tuckerlab.deploy.runtime.single import check_model
from tuckerlab.errors import DataError, TuckerlabError, is_whole
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.i18n import text

Where = Literal["found", "written", "stays"]
"""What became of a table: it was there, it has been written, or it is shown alone and the one of the run stays."""


def check(
    path: Path,
    *,
    data: str | None = None,
    image_size: int | None = None,
    network: str | None = None,
    threads: int | None = None,
    fresh: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> None:
    """Measures a run folder or a file, and prints what came out.

    data, image_size: for a file, the images to answer. network, fresh: for a run, as `check_run` takes them. settings:
    batches, rounds and memory as `measure_deployment` takes them.
    """
    if path.is_dir() and not (path / "model.py").is_file():
        if data is not None or image_size is not None:
            raise TuckerlabError(f"{path}: a run knows its images; leave --data and --image-size out")
        show(*_table(path, network=network, threads=threads, fresh=fresh, quiet=quiet, **settings), path)
        return
    check_threads(threads)
    if network is not None or fresh:
        raise TuckerlabError(f"{path}: --network and --fresh are for the folder of a run; this is a file")
    if threads is not None:
        torch.set_num_threads(threads)
    model = open_model(path, threads)
    settings.pop("memory", None)
    source = origin(model)
    images = _images(model.shape, data, image_size)
    if source is not None and images is None:
        images = source.data
    answer = None if source is None else in_inference(source.network)
    found = check_model(model, images, answer, quiet=quiet, **settings)
    console = Console()
    console.print(found.rich_table())
    for line in found.sentences:
        console.print(line, highlight=False, markup=False)


def check_run(
    run: Path,
    *,
    network: str | None = None,
    threads: int | None = None,
    fresh: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> tuple[Deployment, bool]:
    """The table of the full network of a run and of one in Tucker format, and whether it was there already.

    >>> check_run(Path("no/such/folder"))
    Traceback (most recent call last):
        ...
    tuckerlab.errors.DataError: no/such/folder: there is no such folder; give one that tuckerlab poc has left

    network: a label of the record; the smallest Tucker network if None. threads: of both runtimes; those of torch if
    None. It is measured with `settings` as `measure_deployment` takes them and written to `deployment.parquet` and
    `deployment.png` in the folder. A table that is there is returned, unless `fresh`, or it is of other networks or of
    other runs of them, or settings were given that it was not measured with: it is measured again, and a line says so.

    The table in the folder is that of the run, which its brief tells of: the first that was measured, until one of the
    usual networks with the usual settings is, or any other with `fresh`. What is measured beside it is returned alone.

    Raises DataError for an incomplete folder, an unknown label, images that are gone.
    """
    made, where = _table(run, network=network, threads=threads, fresh=fresh, quiet=quiet, **settings)
    return made, where == "found"


def check_threads(threads: int | None) -> None:
    """TuckerlabError for more threads than this machine could use; None is as many as torch uses.

    >>> check_threads(100_000)
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: threads 100000: this machine has ... cores; allowed are whole numbers from 1 to ...
    """
    cores = os.cpu_count() or 1
    if threads is None or (is_whole(threads) and 1 <= threads <= 2 * cores):
        return
    can = f"allowed are whole numbers from 1 to {2 * cores}"
    raise TuckerlabError(f"threads {threads!r}: this machine has {cores} cores; {can}")


def _table(
    run: Path, *, network: str | None, threads: int | None, fresh: bool, quiet: bool, **settings: Any
) -> tuple[Deployment, Where]:
    """As `check_run`, and what became of the table."""
    check_threads(threads)
    folder = RunFolder.open(run)
    chosen = network or folder.small or folder.dense
    if chosen is None:
        raise DataError(f"{run}: there is no full network and none in Tucker format; give --network with a label")
    labels = [label for label in dict.fromkeys((folder.dense, chosen)) if label is not None]
    asked, stays = {**settings, "threads": threads}, False
    if not fresh:
        with suppress(DataError):
            found = Deployment.load(folder.path)
            there = is_of(found, folder, found.networks)
            stays = there and not (chosen == (folder.small or folder.dense) and _is_usual(asked))
            if there and set(found.networks) == set(labels):
                if not (others := _differing(found.rows, asked)):
                    return found, "found"
                if not quiet:
                    said = text("deployment.again", folder=str(run), settings=", ".join(others))
                    Console().print(said, highlight=False, markup=False, soft_wrap=True)
    if threads is not None:
        torch.set_num_threads(threads)
    networks = {label: folder.network(label) for label in labels}  # of the first seed
    made = measure_deployment(networks, folder.data(), progress=not quiet, **settings)
    made = Deployment(made.rows.assign(run=made.rows["network"].map(lambda label: _first_run(folder, label))))
    if stays:
        return made, "stays"
    made.save(folder.path)
    return made, "written"


def is_of(found: Deployment, folder: RunFolder, labels: Sequence[str]) -> bool:
    """Whether a table tells of these networks as a run folder has them now, and of no other runs of them.

    >>> from tuckerlab.experiments.recorded import found_folder
    >>> folder = RunFolder.open(found_folder("accuracy-digits-vgg_small"))
    >>> runs = [folder.rows(label)["run"].iloc[0] for label in folder.labels]
    >>> table = Deployment(pd.DataFrame({"network": folder.labels, "run": runs}))
    >>> is_of(table, folder, folder.labels), is_of(Deployment(table.rows.assign(run="other")), folder, folder.labels)
    (True, False)
    """
    if "run" not in found.rows or not set(labels) <= set(folder.labels):
        return False
    rows = found.rows[found.rows["network"].isin(labels)]
    wanted = {(label, _first_run(folder, label)) for label in labels}
    return set(zip(rows["network"], rows["run"], strict=True)) == wanted


def _first_run(folder: RunFolder, label: str) -> str:
    """The run whose network is measured: that of the first seed."""
    return str(folder.rows(label)["run"].iloc[0])


def show(made: Deployment, where: Where, run: Path) -> None:
    """Prints the tables, the result in one line, what was measured on what, and what became of the table.

    Of one that was there, it says which of the networks are no longer: nothing else would, as none is loaded.
    """
    console = Console()
    for table in tables.rich_tables(made.rows):
        console.print(table)
    if made.finding:
        console.print(made.finding, style="bold", highlight=False, markup=False)
    for line in (text("deployment.explained"), tables.layouts(made.rows), tables.circumstances(made.rows)):
        console.print(line, highlight=False, markup=False)
    for line in (text(f"deployment.{where}", folder=str(run)), *(_lost(made, run) if where == "found" else ())):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lost(made: Deployment, run: Path) -> Iterator[str]:
    """A sentence for each network of a table whose checkpoint cannot be loaded any more."""
    folder = RunFolder.open(run)
    for label in made.networks:
        try:
            folder.network(label)
        except TuckerlabError as error:
            yield text("deployment.lost", network=label, said=str(error))


def _is_usual(asked: Mapping[str, Any]) -> bool:
    """Whether settings are those that a table is measured with if none are given."""
    usual = {"batches": set(BATCHES), "rounds": ROUNDS, "seconds": SECONDS, "memory": True}
    usual["threads"] = torch.get_num_threads()
    given = {name: set(value) if name == "batches" else value for name, value in asked.items() if value is not None}
    return all(name not in given or given[name] == value for name, value in usual.items())


def _differing(rows: pd.DataFrame, asked: Mapping[str, Any]) -> list[str]:
    """The settings that were asked for, and that a table was not measured with or does not tell.

    Rounds are those that were made: a network too slow for as many is measured again. Without memory goes as with it.
    """
    has = {"batches": rows["batch"], "rounds": rows.get("rounds", ()), "threads": rows["threads"]}
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not wanted.get("memory", True) or rows["peak_bytes"].notna().any():
        wanted.pop("memory", None)
    values = {name: set(value) if name == "batches" else {value} for name, value in wanted.items()}
    return [name for name, value in values.items() if set(has.get(name, ())) != value]


def _images(shape: tuple[int, ...], data: str | None, image_size: int | None) -> ImageData | None:
    """The data set, in the shape that a model takes; DataError if it cannot be had in it."""
    if data is None:
        if image_size is not None:
            raise TuckerlabError(f"--image-size {image_size} without --data: give the images too")
        return None
    found = load_data(data, image_size=image_size)
    given = tuple(found.test_images.shape[1:])
    if given != shape:
        shapes = [" × ".join(map(str, sizes)) for sizes in (given, shape)]
        raise DataError(f"{data}: images of {shapes[0]}, the model takes {shapes[1]}; --image-size {shape[-1]} resizes")
    return found
