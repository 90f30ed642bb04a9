"""`edgeseg browse`: the page in the browser to look through a site's frames, or a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options

if TYPE_CHECKING:
    from edgeseg.labelling.browse import FrameQuery
    from edgeseg.labelling.page.server import Address
    from edgeseg.site import Site

ListOf = list[str] | None
DEFAULT_LIMIT = 20


def browse(
    camera: Annotated[
        ListOf, typer.Option(metavar="NAME", help="Frames of this camera; may be repeated.")
    ] = None,
    split: Annotated[
        ListOf,
        typer.Option(
            metavar="labelled|unlabelled|withheld|val|gate", help="Of this split; repeatable."
        ),
    ] = None,
    class_: Annotated[
        ListOf,
        typer.Option("--class", metavar="NAME", help="That show this class; of several, all."),
    ] = None,
    seen: Annotated[
        str,
        typer.Option(
            metavar="either|label|prediction",
            help="Where the class is shown: predictions are those made for the order of labels.",
        ),
    ] = "either",
    origin: Annotated[
        ListOf, typer.Option(metavar="footage|labels|log", help="Of this origin; repeatable.")
    ] = None,
    mark: Annotated[
        ListOf, typer.Option(metavar="flagged|skipped|drawing", help="With this mark; repeatable.")
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Not before this date in UTC (2026-03-04, '2026-03-04 12:00') of frames that "
            "know it, or this place in their source (1:30).",
        ),
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Not after it; as --since.")] = "",
    text: Annotated[
        str, typer.Option(help="Words that the name, the source or the id holds.")
    ] = "",
    sort: Annotated[
        str,
        typer.Option(
            metavar="place|newest|entropy|contradiction|score|labelled",
            help="The order: camera and time, newest first, or what is highest first.",
        ),
    ] = "place",
    frame: Annotated[str, typer.Option(metavar="ID", help="The frame to open.")] = "",
    training: Annotated[
        bool, typer.Option("--training", help="Open the view of what training reads.")
    ] = False,
    gpu: Annotated[
        bool,
        typer.Option(
            "--gpu",
            help="Make the batches of trainings that mean a GPU on it, as they do; takes memory "
            "beside what trains there.",
        ),
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to serve at, 127.0.0.1 if left out; beyond this machine the page asks "
            "for a token."
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; the next free one from 8487 on.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in your browser.")] = True,
    as_list: Annotated[
        bool, typer.Option("--list", help="Print the frames; open no page.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Frames that --list prints at most; 20 if left out.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the frames as JSON on stdout, as --list does.")
    ] = False,
    set_: options.Set = None,
) -> None:
    """Look through the frames of a site in your browser, and at what training reads of them.

    Each opens large with its label, the prediction of the site's model, and who labelled it.
    `--list` needs no browser and works over ssh.
    """
    from edgeseg.errors import DataError
    from edgeseg.labelling.browse import FrameQuery
    from edgeseg.site import Site

    is_list = as_list or as_json
    of_page = {
        "--frame": bool(frame),
        "--training": training,
        "--gpu": gpu,
        "--host": host is not None,
        "--port": port is not None,
    }
    _refuse_pairs(is_list, "--json" if as_json else "--list", of_page, limit)
    site = Site.open(overrides=set_)
    frames = site.frames()
    if not frames:
        raise DataError(
            f"{site.root} has no frames to look at; add some with `edgeseg add footage PATH`"
        )
    lists = {
        "camera": camera or [],
        "split": split or [],
        "class": class_ or [],
        "origin": origin or [],
        "mark": mark or [],
    }
    single = {"seen": seen, "since": since, "until": until, "text": text, "sort": sort}
    query = FrameQuery.parse(class_names=site.config.class_names, lists=lists, single=single)
    known = sorted({each.camera for each in frames})
    for name in query.cameras:
        if name not in known:
            raise DataError(f"there is no camera {name!r}; the site has {', '.join(known)}")
    if frame and frame not in {each.id for each in frames}:
        raise DataError(f"{site.root} has no frame {frame!r}; ids are in {site.index.name}")
    if is_list:
        _print_frames(site, query, limit or DEFAULT_LIMIT, as_json)
        return
    begin = [(name, value) for name, values in lists.items() for value in values]
    defaults = {"seen": "either", "sort": "place"}
    begin += [(name, value) for name, value in single.items() if value != defaults.get(name, "")]
    begin += [("frame", frame)] if frame else []
    begin += [("view", "training")] if training else []
    _serve(site, host or "127.0.0.1", port, browser, begin, gpu)


def _refuse_pairs(
    is_list: bool, list_name: str, of_page: dict[str, bool], limit: int | None
) -> None:
    from edgeseg.errors import ConfigError

    given = [name for name, is_given in of_page.items() if is_given]
    if is_list and given:
        raise ConfigError(
            f"{given[0]} is for the page, and {list_name} opens none; leave one of the two out"
        )
    if not is_list and limit is not None:
        raise ConfigError(
            "--limit is for what --list and --json print; give one of them, or leave --limit out"
        )


def _serve(
    site: Site,
    host: str,
    port: int | None,
    browser: bool,
    begin: list[tuple[str, str]],
    on_gpu: bool,
) -> None:
    from edgeseg.cli.shared.console import say
    from edgeseg.cli.site.label import account_name, tell_waiting
    from edgeseg.labelling.page.server import open_browser, serve_browsing

    def tell(address: Address) -> None:
        say(f"the page is at {address.url}")
        if browser and not open_browser(address):
            say("open it in a browser; there is no screen here to open one on")
        if not address.is_local:
            can = ", and can label" if address.can_label else ""
            say(f"whoever has this address sees the site{can}; trust the network")
        if not address.can_label:
            say("note: another process labels this site, so this page only looks")
        say("Ctrl-C stops the page")

    left = serve_browsing(
        site, host=host, port=port, person=account_name(), opened=tell, begin=begin, on_gpu=on_gpu
    )
    if left is not None:
        tell_waiting(site, left)
    say("stopped")


def _print_frames(site: Site, query: FrameQuery, limit: int, as_json: bool) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import progress_bar, say, table_console
    from edgeseg.json_text import to_json
    from edgeseg.labelling.browse import open_site_frames

    looks = open_site_frames(site)
    with progress_bar() as bar:
        looks.read_labels(bar)
    answer = looks.ask(query)
    rows = looks.rows(answer, 0, limit)
    total = len(answer.places)
    if as_json:
        shown = {row["frame"] for row in rows}
        images = {
            frame.id: str(site.path(frame.image))
            for frame in answer.columns.frames
            if frame.id in shown
        }
        told = {
            "total": total,
            "counts": answer.counts,
            "model": looks.about()["model"],
            "frames": [{**row, "image": images[row["frame"]]} for row in rows],
        }
        print(to_json(told, indent=2))
        return
    table = Table("frame", "split", "classes", "entropy", "score", "marks", "id")
    for row in rows:
        classes = ", ".join(row["classes"]) or ", ".join(f"({each})" for each in row["predicted"])
        figures = ("" if row[name] is None else f"{row[name]:.3f}" for name in ("entropy", "score"))
        table.add_row(
            row["name"], row["split"], classes, *figures, ", ".join(row["marks"]), row["frame"]
        )
    if rows:
        table_console(160).print(table)
    say(f"{total} frames" if total > len(rows) or not total else f"all {total} frames shown")
    if total > len(rows):
        say("note: --limit prints more of them")
    say("next: edgeseg browse")
