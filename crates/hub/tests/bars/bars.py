#!/usr/bin/env python3
"""Bars of files of trades, computed independently of the hub: plainly, from all trades at once.

    bars.py expected FILE...                     print them as CSV
    bars.py check --tickwire PROGRAM FILE...     and compare them with those of a hub the files are played to

Only the standard library is needed. The rules for sale conditions are read from the table in docs/bars.md.
"""

import argparse
import csv
import gzip
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

DOCS = pathlib.Path(__file__).resolve().parents[4] / "docs" / "bars.md"
NEW_YORK = ZoneInfo("America/New_York")
FIELDS = ["T", "S", "t", "o", "h", "l", "c", "v", "n", "vw"]
CHANNELS = ["bars", "updatedBars", "dailyBars"]
PATIENCE_S = 120


def rules():
    """By code: what a trade may set, for minutes (b) and days (d). The tape in the files is unknown."""
    table = {}
    for line in DOCS.read_text().splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) == 9 and re.fullmatch("`.`", row[0]) and row[2] != "C":
            table[row[0][1]] = {"b": row[3:6], "d": row[6:9]}
    return table


def trades(path):
    """The trades of one file that are left at its end. Every row is a trade; a row that cancels (10) or
    takes back (11) another takes the earlier one out."""
    opener = gzip.open if path.suffix == ".gz" else open
    left = []
    with opener(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            row["price"], row["size"] = Decimal(row["price"]), int(row["size"])
            row["time"] = nanos(row["time"])
            left.append(row)
            marked = {"10": "8", "11": "7"}.get(row["correction"])
            if row["correction"] == "12":
                sys.exit(f"{path}: corrections of trades are not understood here")
            if marked:
                same = lambda other: all(other[key] == row[key] for key in ("symbol", "exchange", "price", "size"))
                left.remove(next((r for r in left if r["correction"] == marked and same(r)), row))
    return left


def nanos(text):
    """2018-01-02T14:30:00.5Z as nanoseconds."""
    match = re.fullmatch(r"(.{19})(?:\.(\d{1,9}))?Z", text)
    seconds = datetime.fromisoformat(match[1] + "+00:00").timestamp()
    return int(seconds) * 10**9 + int((match[2] or "0").ljust(9, "0"))


def stamp(moment):
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def expected(files):
    """All bars, by kind, symbol and start."""
    groups = defaultdict(list)
    for path in files:
        for trade in trades(path):
            moment = datetime.fromtimestamp(trade["time"] // 10**9, timezone.utc)
            minute = moment.replace(second=0)
            day = moment.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0)
            groups["b", trade["symbol"], stamp(minute)].append(trade)
            groups["d", trade["symbol"], stamp(day)].append(trade)
    table = rules()
    bars = {key: bar(key[0], group, table) for key, group in groups.items()}
    return {key: bar for key, bar in bars.items() if bar}


def bar(kind, group, table):
    opens, closes, extremes, volumes, weights = [], [], [], [], []
    for trade in sorted(group, key=lambda trade: trade["time"]):
        codes = [table[code][kind] for code in trade["conditions"] if code in table]
        price, size = trade["price"], trade["size"]
        prices = [code[0] for code in codes]
        high_low = all(code[1] == "yes" for code in codes)
        counts = all(code[2] == "yes" for code in codes)
        if "no" not in prices:
            if not closes or "first" not in prices:
                closes.append(price)
            opens.append(price)
        if high_low:
            extremes.append(price)
        if counts:
            volumes.append(size)
        if high_low and counts:
            weights.append((price * size, size))
    if not (opens and closes and extremes and sum(volumes)):
        return None
    weight = sum(size for _, size in weights)
    average = sum(value for value, _ in weights) / weight if weight else Decimal(0)
    prices = [opens[0], max(extremes), min(extremes), closes[-1]]
    average = average.quantize(Decimal("1e-9"), ROUND_HALF_UP)
    return [*map(plain, prices), str(sum(volumes)), str(len(volumes)), plain(average)]


def plain(price):
    """126.5500 as 126.55."""
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Subscriber(threading.Thread):
    """Keeps the bars a hub sends, the last one for each minute and day, and counts them."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.bars, self.counts = {}, defaultdict(int)
        host, port = address.rsplit(":", 1)
        self.stream = socket.create_connection((host, int(port))).makefile("rwb")
        self.write(
            f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        while self.stream.readline().strip():
            pass
        command = json.dumps({"action": "subscribe", **{name: ["*"] for name in CHANNELS}}).encode()
        self.write(bytes([0x81, 0xFE, *len(command).to_bytes(2, "big"), 0, 0, 0, 0]) + command)

    def write(self, data):
        self.stream.write(data)
        self.stream.flush()

    def run(self):
        while head := self.stream.read(2):
            length = head[1]
            if length > 125:
                length = int.from_bytes(self.stream.read(2 if length == 126 else 8), "big")
            payload = self.stream.read(length)
            if head[0] == 0x81:
                for element in json.loads(payload, parse_float=Decimal):
                    self.take(element)
            elif head[0] == 0x89:
                self.write(bytes([0x8A, 0x80 | length, 0, 0, 0, 0]) + payload)

    def take(self, element):
        kind = element["T"]
        if kind not in ("b", "u", "d"):
            return
        prices = [plain(Decimal(element[key])) for key in ("o", "h", "l", "c")]
        fields = [*prices, str(element["v"]), str(element["n"]), plain(Decimal(element["vw"]))]
        self.bars["b" if kind == "u" else kind, element["S"], element["t"]] = fields
        self.counts[kind] += 1


class Hub:
    """A hub, files played to it, and a subscriber to its bars."""

    def __init__(self, program):
        self.program = program
        command = [program, "hub", "--listen", "127.0.0.1:0", "--log", "json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.address = self.read_address()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.subscriber = Subscriber(self.address)
        self.subscriber.start()
        self.until("tickwire_subscriptions", lambda value: value == len(CHANNELS))

    def read_address(self):
        for line in self.process.stdout:
            if match := re.search(r'"address":"([^"]+)"', line):
                return match[1]
            print(line, end="", file=sys.stderr)
        sys.exit("the hub does not start")

    def metric(self, name):
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            text = answer.read().decode()
        return int(re.search(rf"^{name} (\d+)", text, re.M)[1])

    def until(self, name, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition(self.metric(name)):
            if time.monotonic() > deadline:
                sys.exit(f"{name} stays at {self.metric(name)}")
            time.sleep(0.05)

    def play(self, files):
        replay = [self.program, "feed", "replay", "--speed", "max", "--hub", f"ws://{self.address}"]
        subprocess.run([*replay, *files], check=True)

    def end_the_day(self, last):
        """A trade of another symbol, later: the feed's clock closes what is open."""
        moment = datetime.fromtimestamp(last // 10**9, timezone.utc) + timedelta(minutes=3)
        trade = {"T": "t", "S": "ZZZ", "i": 1, "x": "D", "p": 1, "s": 0, "c": [], "t": stamp(moment), "z": ""}
        request = urllib.request.Request(f"http://{self.address}/publish", json.dumps([trade]).encode())
        urllib.request.urlopen(request).close()

    def stop(self):
        """Ends the hub, which sends what is pending, and waits for all of it."""
        self.process.terminate()
        self.process.wait()
        self.subscriber.join(PATIENCE_S)


def check(program, files):
    wanted = expected(files)
    hub = Hub(program)
    try:
        hub.play(files)
        hub.end_the_day(max(trade["time"] for path in files for trade in trades(path)))
    finally:
        hub.stop()
    found, counts = hub.subscriber.bars, hub.subscriber.counts
    kinds = {kind: sum(key[0] == kind for key in wanted) for kind in "bd"}
    print(f"expected {kinds['b']} minutes and {kinds['d']} days; received {dict(counts)}")
    wrong = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
    for key in sorted(wrong):
        print(f"{' '.join(key)}: expected {wanted.get(key)}, got {found.get(key)}")
    print(f"{len(wrong)} differ" if wrong else "all fields of all of them are equal")
    return bool(wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["expected", "check"])
    parser.add_argument("--tickwire", help="the program to check")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "check":
        if not arguments.tickwire:
            parser.error("--tickwire: expected the path of the program")
        sys.exit(check(arguments.tickwire, arguments.files))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    for key, fields in sorted(expected(arguments.files).items()):
        writer.writerow([*key, *fields])


if __name__ == "__main__":
    main()
