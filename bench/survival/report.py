# SPDX-License-Identifier: MPL-2.0
"""The matrix in Markdown."""
from .cell import AFTER_S, NEVER, RECOVERY_S, cores
from .figures import CALM, MIB, refused
from .row import BRIEF_S, CALM_S, DRAWN_S, LONG_S

HEADS = ["goodput", "p99, quiet -> during", "onset", "newcomers", "app memory, MiB", "p95 after", "protection, MiB", "others", "verdict"]
ATTENTION = 6  # verdicts of Weir's that a row has room for


def show_ms(ms):
    return "never" if ms == NEVER else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


COUNTER, ALONE = "weir+counter", "weir"  # a publisher takes nothing: there the first is as the second


def verdict_of(f):
    if f.broken:
        return "**failed**: " + ", ".join(f.broken)
    return "no worse than bare: " + ", ".join(f.rules) if f.rules else "survived"


def cells(f):
    verdict = verdict_of(f)
    if f.throughput:
        verdict += f"; {f.throughput / 1000:,.0f} k msg/s"
    return [f"{min(f.goodput, 1):.1%}", f"{show_ms(f.quiet_p99_ms)} -> {show_ms(f.p99_ms)} ms", f"{show_ms(f.onset_ms)} ms", f"{f.newcomers:.0%}",
            f"{f.before_bytes / MIB:.0f} -> {f.peak_bytes / MIB:.0f}", f"{show_ms(f.recovered_p95_ms)} ms",
            f"{f.relay_bytes / MIB:.0f}" if f.relay_bytes else "", f"{f.others:.2f}", verdict]


def line(name, texts):
    return f"| {name} | " + " | ".join(texts) + " |"


def head(first):
    return line(first, HEADS) + "\n|---|" + "---:|" * (len(HEADS) - 1) + "---|"


def not_measured(why):
    return [""] * (len(HEADS) - 1) + [why]


def row_lines(row, results):
    """The lines of one row: results are (contender, Figures or a reason)."""
    note = f" {row.note}" if row.note else ""
    title = f"### {row.name}\n\n{row.app}, {row.work_us} us of work a message; {row.what}.{note}\n\n" + head("contender")
    lines = [line(name, not_measured(result) if isinstance(result, str) else cells(result)) for name, result in results]
    says = [line for name, title in ((ALONE, "Weir"), (COUNTER, "Weir with the counter")) for line in _weir_says(title, dict(results).get(name))]
    return "\n".join([title, *lines, *_flood_says(results), *says]) + "\n"


def _flood_says(results):
    """What the flood came to against each contender: a flood that hardly ran shows nothing."""
    floods = [(name, result.flood) for name, result in results if not isinstance(result, str) and result.flood]
    if not floods:
        return []
    words = (f"{name} {f['opened']:,} connections, {f['established']:,} taken in, {f['sent_bytes'] / 1e6:,.1f} MB" for name, f in floods)
    return ["\nThe flood: " + "; ".join(words) + "."]


def _weir_says(title, weir):
    if not weir or isinstance(weir, str) or not weir.metrics:
        return []
    refusals = sorted(refused(weir.metrics).items(), key=lambda item: -item[1])
    words = [f"{name} {count}" for name, count in refusals[:ATTENTION]] + ["..."] * (len(refusals) > ATTENTION)
    return [f"\n{title}: {', '.join(words) or 'refused nothing'}; paused {int(weir.metrics.get('weir_pauses_total', 0))} times;"
            f" memory held at most {weir.metrics.get('weir_memory_peak_bytes', 0) / MIB:.1f} MiB."]


def word(result):
    if result is None:
        return ""
    if isinstance(result, str):
        return result
    return (verdict_of(result).replace("**failed**: ", "**worse**: " if result.rules != result.broken else "")) + " ~" * result.disturbed


def shown(row, results, name):
    """What stands in a column: of a publisher, Weir with the counter is Weir."""
    found = dict(results)
    return found.get(ALONE if name == COUNTER and row.publishes else name)


def _counts(table, names):
    counts = []
    for name in names:
        measured = [r for r in (shown(row, results, name) for row, results in table) if r is not None and not isinstance(r, str)]
        counts.append(f"{sum(r.survived for r in measured)} of {len(measured)}" if measured else "")
    return counts


def summary(table, names):
    """The matrix of verdicts: table is [(row, [(contender, result)])]."""
    lines = ["| flood | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for row, results in table:
        lines.append(line(row.name, ["as weir" if name == COUNTER and row.publishes else word(dict(results).get(name)) for name in names]))
    rules = [entry for entry in table if not entry[0].against_bare]
    beside = [(row, [r for r in results if r[0] != "bare"]) for row, results in table if row.against_bare]
    for title, part in (("survived", rules), ("no worse than bare", beside)):
        lines += [line(title, _counts(part, names))] if part else []
    return "\n".join(lines) + "\n"


def explanation(rounds):
    pinned = "Flood and clients share one core, application and protection another." if cores()[0] is not None else \
        "This machine has one core: nothing is pinned, and everything shares it."
    several = f"{rounds} rounds, contenders in turn; of each, the run whose p99 is the median." if rounds > 1 else "One round, contenders in turn."
    return f"""Each run: {CALM_S:.0f} s in which only the well-behaved are there ({BRIEF_S} s to publishers and without a flood), the flood ({LONG_S} s where it works on the
application's time, {DRAWN_S} s in the rows drawn and nat, else 2 s, or as long as the row's peers take), {RECOVERY_S:.0f} s to recover, {AFTER_S} s to see whether it has.
{pinned} {several}

- goodput: work answered within 1 s, against the quiet phase
- p99: from the intended send time; unanswered work counts as never. p95 after: from 1 s after the flood on
- onset: the worst latency of all work that was due in the flood's first half second, before anything can have settled; it counts in p99 too
- app memory: anonymous memory before -> peak. Protection: its own peak
- others: cores that other work on the machine, or its host, took meanwhile; above {CALM} the run counts as disturbed (~)
- survived: goodput 99 %, p99 at most twice the quiet one (or 5 ms), 95 % of newcomers get in, the application grows by at most 64 MiB, all is
  well (goodput, newcomers, p95 within the same bound) 1 s after the flood, nobody has died. Without an attack, moreover: nothing refused,
  nothing paused, and a busy client reaches 90 % of the bare application's speed
- weir+counter: Weir, and an application that writes how many messages it has taken (a few lines of a header in `app.c`). A publisher takes none: "as weir"
- weir-run: the application of the other columns, started by `weir run` without configuration
- rows whose name begins with drawn or nat, those of drawn with parameters that were drawn for this run: judged against bare in the same run. "No
  worse than bare" is: goodput and newcomers at most 2 and 5 points below, p99 at most half as much again (or 5 ms), growth of the application at
  most a quarter more (or 64 MiB), and nobody has died; behind it stands which rules of survival were broken all the same. With the counter the rows nat
  promise more: goodput 99 % and p99 within three times the work of a message and 5 ms (behind a load balancer, or half as much again as bare)
"""
