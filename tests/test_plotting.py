"""Lines that break, letters that are embedded, names that are left out where there is no room."""

from tuckerlab.plotting.figure import Picture, font_faces, wrapped, write_names


def test_lines_break_between_words_and_in_japanese_anywhere_but_before_a_stop() -> None:
    assert wrapped("one two three", 8) == "one two\nthree"
    assert wrapped("精度は同じ、容量は18分の1。", 10) == "精度は同じ、\n容量は18分の\n1。"


def test_the_glyphs_of_a_page_are_embedded() -> None:
    css = font_faces("¥1万円", "ja")  # the glyphs of these letters, and no more
    assert (css.count("@font-face"), css.count("data:font/woff2")) == (2, 2)
    assert len(css) < 20_000


def test_names_are_written_where_there_is_room() -> None:
    axes = Picture(figsize=(4, 3)).subplots()
    write_names(axes, [(name, 0.5, 0.5, 0.5, 0.5) for name in "abcdefghi"])
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c", "d"]
