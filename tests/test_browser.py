"""What people do, in a real browser: the course in JupyterLab, and as an app."""

import re
from collections.abc import Iterator

import pytest
from browser import PATIENCE, a_page, a_server, find_browser, number
from playwright.sync_api import Locator, Page, expect

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    find_browser()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_server("lab", tmp_path_factory.mktemp("lab")) as address:
        yield address


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with a_server("app", tmp_path_factory.mktemp("app")) as address:
        yield address


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    with a_page(request.node.name) as page:
        yield page
        assert page.get_by_text("javascript error").count() == 0  # what a broken widget says in its place


def notebook(address: str, name: str) -> str:
    """The address of a notebook in JupyterLab, in a workspace where no other is open."""
    return re.sub(r"/lab\S*\?", f"/lab/workspaces/{name}/tree/{name}.ipynb?", address)


def menu(page: Page, name: str, entry: str) -> None:
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.get_by_role("menu").get_by_text(entry, exact=True).click()


def run_all(page: Page) -> None:
    """All cells, and until the kernel has done its work."""
    page.locator(".jp-Notebook").wait_for()
    idle(page)
    menu(page, "Run", "Run All Cells")


def idle(page: Page) -> None:
    page.get_by_text(re.compile(r"^Python 3 .*\| Idle$")).wait_for()


def slider(page: Page, label: str) -> Locator:
    """The handle of a slider; it takes arrow keys."""
    box = page.locator(".widget-hbox, .jupyter-widgets").filter(has=page.get_by_text(label, exact=True))
    return box.get_by_role("slider").first


def picture(page: Page) -> str:
    """What the first picture of a panel is made of: another one after each redraw."""
    return page.locator("img.widget-image").first.get_attribute("src") or ""


def test_a_slider_in_jupyterlab_moves_picture_and_numbers(lab: str, page: Page) -> None:
    page.goto(lab)
    expect(page).to_have_title(re.compile("01_start"))
    run_all(page)
    handle, tiles = slider(page, "Weights removed"), page.locator("[role=status]").filter(has_text="Numbers stored")
    handle.scroll_into_view_if_needed()
    expect(tiles).to_contain_text("as accurate as the full network")
    stored = tiles.locator("div", has_text=re.compile("^[0-9,]+$")).first
    before, drawn = number(stored), picture(page)

    box = handle.bounding_box()  # by mouse, a good way to the left: fewer weights removed
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 200, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    expect(stored).not_to_have_text(f"{before:,.0f}")
    assert number(stored) > before
    assert picture(page) != drawn

    handle.focus()  # by keyboard, all the way to the right
    page.keyboard.press("End")
    expect(stored).not_to_have_text(f"{before:,.0f}")
    page.wait_for_function("b => parseFloat(document.querySelector('[role=status]').innerText) != b", arg=before)
    expect(page.get_by_text("Not yet.")).to_be_visible()  # the exercise: one step back is the answer
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("That is it.")).to_be_visible()
    expect(page.locator("img.widget-image")).to_have_count(1)  # redrawn, not drawn beside

    page.get_by_label("Network").select_option("Defects on steel, small network")
    expect(page.locator("img.widget-image")).to_have_count(1)
    menu(page, "File", "Save Notebook")
    page.reload()
    page.locator(".jp-Notebook").wait_for()
    expect(slider(page, "Weights removed")).to_be_attached()


def test_training_in_jupyterlab_is_seen_stopped_and_begun_again(lab: str, page: Page) -> None:
    page.goto(notebook(lab, "03_train_with_a_slider"))
    run_all(page)
    train, stop = button(page, "Train"), button(page, "Stop")
    train.scroll_into_view_if_needed()
    page.get_by_label("Passes over the images").fill("200")  # more than the test will wait for
    page.keyboard.press("Tab")
    train.click()
    expect(page.locator("img.widget-image").first).to_be_visible()
    seen = [picture(page)]
    for _ in range(2):
        page.wait_for_function("s => document.querySelector('img.widget-image').src != s", arg=seen[-1])
        seen.append(picture(page))
    assert len(set(seen)) == 3
    expect(page.get_by_text(re.compile(r"pass \d+ of 200"))).to_be_visible()

    button(page, "Pause").click()
    expect(page.get_by_text(re.compile("paused in pass"))).to_be_visible()
    button(page, "Go on").click()
    page.get_by_text(
        re.compile(r"pass [2-9]\d* of 200|pass 1\d+ of 200")
    ).wait_for()  # an epoch, so that there is a run
    stop.click()
    expect(page.get_by_text("Stopped. What was learned so far is kept.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Tucker 90 %: .* right"))).to_be_visible()

    train.click()
    expect(page.get_by_text(re.compile(r"pass \d+ of 200"))).to_be_visible()
    menu(page, "Kernel", "Restart Kernel…")
    page.locator(".jp-Dialog button.jp-mod-accept").click()
    idle(page)
    run_all(page)
    expect(button(page, "Train")).to_be_enabled()
    expect(page.get_by_text("Press Train.").first).to_be_attached()


def test_the_app_shows_panels_and_no_code(app: str, page: Page) -> None:
    page.goto(app)
    page.get_by_role("link", name=re.compile("Start here")).click()
    handle = slider(page, "Weights removed")
    handle.wait_for()
    assert page.locator(".jp-InputArea-editor, .highlight, pre.source").count() == 0
    assert "InstantSlider" not in page.content()
    drawn = picture(page)
    handle.focus()
    page.keyboard.press("Home")
    page.wait_for_function("s => document.querySelector('img.widget-image').src != s", arg=drawn)
    expect(page.get_by_text("This is the full network")).to_be_visible()


def test_training_in_the_app_is_seen_and_stopped(app: str, page: Page) -> None:
    page.goto(app)
    page.get_by_role("link", name=re.compile("Train with a slider")).click()
    button(page, "Train").wait_for()
    page.get_by_label("Passes over the images").fill("200")
    page.keyboard.press("Tab")
    button(page, "Train").click()
    page.get_by_text(re.compile(r"pass ([2-9]|\d\d+) of 200")).wait_for()
    for _ in range(2):
        seen = picture(page)
        page.wait_for_function("s => document.querySelector('img.widget-image').src != s", arg=seen)
    button(page, "Stop").click()
    expect(page.get_by_text("Stopped. What was learned so far is kept.")).to_be_visible()
    page.reload()  # a new kernel, and no broken widget
    expect(button(page, "Train")).to_be_enabled()


def button(page: Page, name: str) -> Locator:
    """A button of a panel, in sight or not: what is far from sight has no role in JupyterLab."""
    return page.locator("button.jupyter-button").filter(has_text=re.compile(f"^{name}$"))
