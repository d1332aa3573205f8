"""controls.py PAGE: every control of the page has a label and a title, ids are unique, what is referred to exists, and nothing that
the page's content policy forbids (scripts, styles and handlers in the HTML) is there."""
import html.parser
import re
import sys

CONTROLS = {"button", "select", "input"}
wrong = []


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.labels, self.refers, self.controls, self.open = [], set(), [], [], []

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        at = f"line {self.getpos()[0]}: <{tag} {a.get('id', a.get('value', ''))}>"
        self.ids += [a["id"]] if "id" in a else []
        for name in a:
            if name == "style" or name.startswith("on"):
                wrong.append(f"{at}: {name} in the HTML")
        if tag == "style" or tag == "script" and "src" not in a:
            wrong.append(f"{at}: inline")
        for name in ("src", "href"):
            if re.match("(https?:)?//", a.get(name) or ""):
                wrong.append(f"{at}: loads from elsewhere")
        if tag == "label" and "for" in a:
            self.labels.add(a["for"])
        self.refers += [a[n] for n in ("for", "aria-controls", "aria-labelledby", "aria-describedby") if n in a]
        if (a.get("href") or "").startswith("#"):
            self.refers.append(a["href"][1:])
        if tag in CONTROLS:
            inside = next((o for o in reversed(self.open) if o["tag"] == "label"), None)
            self.controls.append({"at": at, "tag": tag, "a": a, "label": inside, "text": ""})
        if tag not in {"input", "meta", "link", "path", "circle", "use", "br"}:
            self.open.append({"tag": tag, "a": a, "control": self.controls[-1] if tag in CONTROLS else None})

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if self.open and self.open[-1]["tag"] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop()["tag"] != tag:
            wrong.append(f"line {self.getpos()[0]}: </{tag}> closes another")

    def handle_data(self, data):
        for o in self.open:
            if o["control"]:
                o["control"]["text"] += data.strip()


page = Page()
with open(sys.argv[1], encoding="utf-8") as f:
    page.feed(f.read())
for c in page.controls:
    a = c["a"]
    if not (c["label"] or a.get("aria-label") or a.get("id") in page.labels or (c["tag"] == "button" and c["text"])):
        wrong.append(f"{c['at']}: no label")
    if not (a.get("title") or c["label"] and c["label"]["a"].get("title")):
        wrong.append(f"{c['at']}: no title")
wrong += [f"id {i} twice" for i in sorted(set(page.ids)) if page.ids.count(i) > 1]
wrong += [f"nothing has the id {i}" for i in sorted(set(page.refers) - set(page.ids))]
if len(page.controls) < 30:
    wrong.append(f"only {len(page.controls)} controls were found")
print("\n".join(wrong))
sys.exit(bool(wrong))
