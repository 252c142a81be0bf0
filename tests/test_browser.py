"""What people do, in a real browser: a slider in JupyterLab, and training in the app."""

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from browser import PATIENCE, a_server, page as page
from playwright.sync_api import Locator, Page, expect

expect.set_options(timeout=PATIENCE)


def menu(page: Page, name: str, entry: str) -> None:
    page.get_by_role("menuitem", name=name, exact=True).click()
    page.get_by_role("menu").get_by_text(entry, exact=True).click()


def slider(page: Page, label: str) -> Locator:
    """The handle of a slider; it takes arrow keys."""
    box = page.locator(".widget-hbox, .jupyter-widgets").filter(has=page.get_by_text(label, exact=True))
    return box.get_by_role("slider").first


def button(page: Page, name: str) -> Locator:
    """A button of a panel, in sight or not: what is far from sight has no role in JupyterLab."""
    return page.locator("button.jupyter-button").filter(has_text=re.compile(f"^{name}$"))


def picture(page: Page) -> str:
    """What the first picture in sight is made of: another one after each redraw."""
    return page.locator("img.widget-image:visible").first.get_attribute("src") or ""


def wait_for_another(page: Page, picture: str) -> None:
    page.wait_for_function(
        "s => [...document.images].find(it => it.matches('.widget-image') && it.width).src != s", arg=picture
    )


def assert_accessible(page: Page) -> None:
    """What axe finds: pictures without words, sliders without a name, text in no landmark, pale letters …"""
    found = Axe().run(page).response["violations"]
    assert [(it["id"], [node["html"][:200] for node in it["nodes"]]) for it in found if it["impact"] != "minor"] == []


def test_a_slider_in_jupyterlab_moves_picture_and_numbers(page: Page, tmp_path: Path) -> None:
    with a_server("lab", tmp_path) as address:
        page.goto(address)
        expect(page).to_have_title(re.compile("01_start"))
        page.locator(".jp-Notebook").wait_for()
        page.get_by_text(re.compile(r"^Python 3 .*\| Idle$")).wait_for()
        menu(page, "Run", "Run All Cells")
        handle, tiles = slider(page, "Weights removed"), page.locator("[role=status]").filter(has_text="Numbers stored")
        handle.scroll_into_view_if_needed()
        expect(tiles).to_contain_text("as accurate as the full network")
        stored = tiles.locator("div", has_text=re.compile("^[0-9,]+$")).first
        before, drawn = stored.inner_text(), picture(page)

        box = handle.bounding_box()  # by mouse, a good way to the left: fewer weights removed
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] - 200, box["y"] + box["height"] / 2, steps=8)
        page.mouse.up()
        expect(stored).not_to_have_text(before)
        assert float(stored.inner_text().replace(",", "")) > float(before.replace(",", ""))
        wait_for_another(page, drawn)
        expect(page.locator("img.widget-image")).to_have_count(1)  # redrawn, not drawn beside

        assert page.get_by_text("Jupyter news").count() == 0
        expect(page.locator(".jp-mod-dirty").first).to_be_attached()
        menu(page, "File", "Save Notebook")
        expect(page.locator(".jp-mod-dirty")).to_have_count(0)  # what is not written yet would not come back
        page.reload()
        page.locator(".jp-Notebook").wait_for()
        expect(slider(page, "Weights removed")).to_be_attached()


def test_the_app_in_two_languages_is_used_by_keyboard_and_read_aloud_and_training_in_it_is_gone_on_with(
    page: Page, tmp_path: Path
) -> None:
    with a_server("app", tmp_path) as address:
        page.goto(f"{address}&lang=ja")
        assert_accessible(page)
        page.get_by_role("link", name="はじめに").click()
        page.get_by_role("slider", name="取り除く重み", exact=True).press("ArrowRight")
        expect(page.get_by_text("この大きさでは学習していません。「タッカー形式 90%」を")).to_be_visible()
        assert page.locator("html").get_attribute("lang") == "ja"
        page.get_by_role("link", name="English").click()
        handle = page.get_by_role("slider", name="Weights removed", exact=True)
        expect(handle).to_have_attribute("aria-valuetext", "91 %")  # not its place in the list
        assert_accessible(page)
        handle.focus()
        page.keyboard.press("ArrowRight")
        expect(handle).to_have_attribute("aria-valuetext", "92 %")
        assert handle.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
        page.set_viewport_size({"width": 800, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth") == 800
        page.get_by_role("link", name="All parts").first.click()
        page.get_by_role("link", name=re.compile("Train with a slider")).click()
        button(page, "Train").wait_for()
        assert page.locator(".jp-InputArea-editor, .highlight, pre.source").count() == 0
        assert_accessible(page)
        images, passes = page.get_by_label("Images", exact=True), page.get_by_label("Passes over the images")
        images.fill("digits")
        images.press("Tab")
        expect(passes).not_to_have_value("4")  # those that suit these images have come
        passes.fill("900")  # more than the test will wait for
        button(page, "Train").click()
        page.get_by_text(re.compile(r"pass ([2-9]|\d\d+) of 900")).wait_for()
        seen = picture(page)
        wait_for_another(page, seen)
        page.reload()  # a new kernel, which finds what the old one has left
        button(page, "Continue").click()
        page.get_by_text(re.compile(r"pass ([2-9]|\d\d+) of 900")).wait_for()
        button(page, "Stop").click()
        expect(page.get_by_text("Stopped. What was learned so far is kept.")).to_be_visible()
        expect(button(page, "Train")).to_be_enabled()
