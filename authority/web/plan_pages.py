"""The public plan of the buildings: a drawing of what flowed between each and the campus grid, and the same as a table.

Buildings stand where authority.toml's [plan] says; those without a place in two columns beside the grid's line.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template

from authority.api import tags
from authority.api.plan import CampusPlan, Plan, PlanFlow
from authority.billing.calendar import local
from authority.figures import kilowatts
from authority.language.reading import gettext
from authority.web import answers, ranges
from authority.web.figures import UNKNOWN

WIDTH, MAP_HEIGHT = 400, 300
BOX_WIDTH, BOX_HEIGHT, ROW = 132, 46, 72
MOST_LETTERS = 17
THINNEST, THICKEST = 2, 9
SECONDS_AN_HOUR = 3_600
ARROW = 7


@dataclass(frozen=True, slots=True)
class Box:
    """A building as it is drawn: its middle, and its line from its edge to the grid, in units of the drawing.

    stroke is the line's width, 0 where nothing flowed or nothing is known; gives is its direction. arrow is the path of
    its head. word is what stands below the name, label all of it in words.
    """

    name: str
    x: int
    y: int
    from_x: int
    from_y: int
    to_x: int
    to_y: int
    stroke: int
    gives: bool
    arrow: str
    known: bool
    word: str
    label: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The boxes, the drawing's height, and the grid: a point where buildings have places, else a line down."""

    boxes: tuple[Box, ...]
    height: int
    grid_x: int
    grid_y: int
    is_line: bool


def watts(wh: int | None, seconds: int) -> int | None:
    """The mean power of an interval's energy."""
    return None if wh is None else wh * SECONDS_AN_HOUR // seconds


def net(flow: PlanFlow) -> int | None:
    """What was given to the grid, negative where it was drawn, Wh."""
    return None if flow.given_wh is None or flow.drawn_wh is None else flow.given_wh - flow.drawn_wh


def words(flow: PlanFlow) -> str:
    """A flow in words, as mean power."""
    found = net(flow)
    if found is None or flow.began_at is None or flow.ended_at is None:
        return gettext("not known")
    power = kilowatts(watts(abs(found), flow.ended_at - flow.began_at))
    if found > 0:
        return gettext("gives %(power)s", power=power)
    return gettext("draws %(power)s", power=power) if found else gettext("in balance")


def drawn(plan: Plan) -> Drawing:
    """The plan as a drawing."""
    flows = [each.flow for each in plan.buildings]
    most = max([1, *(abs(found) for flow in flows if (found := net(flow)) is not None)])
    placed = [each for each in plan.buildings if each.across is not None and each.down is not None]
    rows = (len(plan.buildings) - len(placed) + 1) // 2
    top = MAP_HEIGHT if placed else 0
    height = top + rows * ROW + (0 if placed else 8)
    is_line = not placed
    grid_x = plan.grid_across * WIDTH // 100 if placed else WIDTH // 2
    grid_y = plan.grid_down * MAP_HEIGHT // 100 if placed else height // 2
    boxes, place = [], 0
    for each in plan.buildings:
        if each.across is not None and each.down is not None:
            x = BOX_WIDTH // 2 + each.across * (WIDTH - BOX_WIDTH) // 100
            y = BOX_HEIGHT // 2 + each.down * (MAP_HEIGHT - BOX_HEIGHT) // 100
        else:
            x = BOX_WIDTH // 2 if place % 2 == 0 else WIDTH - BOX_WIDTH // 2
            y = top + place // 2 * ROW + ROW // 2
            place += 1
        found = net(each.flow)
        to = (grid_x, y) if is_line else (grid_x, grid_y)
        stroke = THINNEST + (THICKEST - THINNEST) * abs(found) // most if found else 0
        edge = _edge((x, y), to)
        word = words(each.flow)
        boxes.append(
            Box(
                name=each.name if len(each.name) <= MOST_LETTERS else each.name[: MOST_LETTERS - 1] + "…",
                x=x,
                y=y,
                from_x=edge[0],
                from_y=edge[1],
                to_x=to[0],
                to_y=to[1],
                stroke=stroke,
                gives=bool(found and found > 0),
                arrow=_arrow((x, y), to, gives=bool(found and found > 0)),
                known=found is not None,
                word=UNKNOWN if found is None else word,
                label=gettext("%(name)s: %(flow)s", name=each.name, flow=word),
            )
        )
    return Drawing(tuple(boxes), max(height, ROW), grid_x, grid_y, is_line)


def _edge(building: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """Where the line to the grid leaves the building's box."""
    across, down = grid[0] - building[0], grid[1] - building[1]
    reach = min(1.0, *(half / abs(way) for half, way in ((BOX_WIDTH / 2, across), (BOX_HEIGHT / 2, down)) if way), 1.0)
    return round(building[0] + across * reach), round(building[1] + down * reach)


def _arrow(building: tuple[int, int], grid: tuple[int, int], *, gives: bool) -> str:
    """A triangle on the line, past the building's box, that points where the energy went."""
    (x, y), (to_x, to_y) = building, grid
    away = max(1.0, ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5)
    across, down = (to_x - x) / away, (to_y - y) / away
    middle = max(away * 0.7, away - 40)
    at_x, at_y = x + across * middle, y + down * middle
    if not gives:
        across, down = -across, -down
    tip = (at_x + across * ARROW, at_y + down * ARROW)
    back = (at_x - across * ARROW, at_y - down * ARROW)
    corners = (
        tip,
        (back[0] - down * ARROW, back[1] + across * ARROW),
        (back[0] + down * ARROW, back[1] - across * ARROW),
    )
    return "M" + "L".join(f"{px:.0f} {py:.0f}" for px, py in corners) + "Z"


def sentence(plan: Plan) -> str:
    """The plan in words."""
    found = [value for each in plan.buildings if (value := net(each.flow)) is not None]
    if not found:
        return gettext("Nothing was measured in the last intervals, or no building is shown to the public.")
    return gettext(
        "Giving energy to the campus grid: %(gives)s of %(count)s buildings. Drawing from it: %(draws)s.",
        gives=sum(value > 0 for value in found),
        count=len(plan.buildings),
        draws=sum(value < 0 for value in found),
    )


def blueprint(plan: CampusPlan) -> Blueprint:
    """The page over the query layer."""
    pages, zone = Blueprint("plan_pages", __name__), ZoneInfo(plan.zone)

    @pages.after_request
    def tag(response: Response) -> Response:
        return tags.of_a_public_page(response)

    def when(flow: PlanFlow) -> str:
        if flow.began_at is None or flow.ended_at is None:
            return UNKNOWN
        form = "%H:%M" if (flow.ended_at - flow.began_at) % 60 == 0 else "%H:%M:%S"
        return "\N{EN DASH}".join(ranges.written(local(at, zone), form) for at in (flow.began_at, flow.ended_at))

    @pages.get("/plan")
    def plan_page() -> Response:
        found = plan.now()
        text = render_template(
            "plan.html",
            plan=found,
            drawing=drawn(found),
            words=sentence(found),
            when=when,
            flow_words=words,
            width=WIDTH,
            box_width=BOX_WIDTH,
            box_height=BOX_HEIGHT,
            zone=zone.key,
        )
        return answers.page(text)

    return pages
