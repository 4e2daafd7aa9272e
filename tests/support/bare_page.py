"""The least that a page of Flask behind gunicorn costs: what the pages of the authority are held against."""

from flask import Flask, render_template_string

app = Flask(__name__)
ROWS = [(n, n * n) for n in range(40)]


@app.get("/")
def page() -> str:
    """A page of the length of a member's, that asks nobody for anything."""
    return render_template_string(
        "<!doctype html><title>Bare</title><table>{% for a, b in rows %}<tr><td>{{ a }}<td>{{ b }}{% endfor %}</table>",
        rows=ROWS,
    )
