#!/usr/bin/env python3
"""Computes the bars of files of trades independently of the hub, from all trades at once.

    bars.py expected FILE...                     prints the bars as CSV
    bars.py check --tickwire PROGRAM FILE...     replays the files to a hub and compares its bars

Needs only the standard library. The rules for sale conditions come from the table in docs/bars.md.
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
# Generous, because other processes may keep the machine busy.
TIMEOUT_S = 120
POLL_INTERVAL_S = 0.05
# Correction codes of TAQ: each code of a correcting record, and the code of the trade it removes.
REMOVED_BY = {"10": "8", "11": "7"}
# First bytes of WebSocket frames: a final frame with its opcode.
TEXT, PING, PONG = 0x81, 0x89, 0x8A


def condition_rules():
    """Returns, by sale condition, what a trade may update in minute bars (b) and daily bars (d).

    Rows for tape C are skipped, because the files do not name the tape.
    """
    table = {}
    for line in DOCS.read_text().splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if len(row) == 9 and re.fullmatch("`.`", row[0]) and row[2] != "C":
            table[row[0][1]] = {"b": row[3:6], "d": row[6:9]}
    return table


def trades(path):
    """Returns the trades of one file that remain at its end.

    Every row is a trade. A row that cancels (10) or withdraws (11) a trade removes that one; if
    the file does not have it, the row itself is removed.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    remaining = []
    with opener(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            row["price"], row["size"] = Decimal(row["price"]), int(row["size"])
            row["time"] = nanos(row["time"])
            remaining.append(row)
            if row["correction"] == "12":
                sys.exit(f"{path}: corrections of trades are not supported")
            if removed := REMOVED_BY.get(row["correction"]):
                matches = (
                    other
                    for other in remaining
                    if other["correction"] == removed and is_same_trade(other, row)
                )
                remaining.remove(next(matches, row))
    return remaining


def is_same_trade(one, other):
    return all(one[key] == other[key] for key in ("symbol", "exchange", "price", "size"))


def nanos(text):
    """Converts a time such as 2018-01-02T14:30:00.5Z to nanoseconds since the Unix epoch."""
    match = re.fullmatch(r"(.{19})(?:\.(\d{1,9}))?Z", text)
    seconds = datetime.fromisoformat(match[1] + "+00:00").timestamp()
    return int(seconds) * 10**9 + int((match[2] or "0").ljust(9, "0"))


def timestamp(moment):
    """Formats a time in UTC, in whole seconds."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def expected(files):
    """Returns all bars, by kind, symbol and start."""
    groups = defaultdict(list)
    for path in files:
        for trade in trades(path):
            moment = datetime.fromtimestamp(trade["time"] // 10**9, timezone.utc)
            minute = moment.replace(second=0)
            day = moment.astimezone(NEW_YORK).replace(hour=0, minute=0, second=0)
            groups["b", trade["symbol"], timestamp(minute)].append(trade)
            groups["d", trade["symbol"], timestamp(day)].append(trade)
    rules = condition_rules()
    bars = {key: bar(key[0], group, rules) for key, group in groups.items()}
    return {key: bar for key, bar in bars.items() if bar}


def bar(kind, group, rules):
    """Returns the fields of a bar from its trades; None if they make no bar."""
    opens, closes, extremes, volumes, weights = [], [], [], [], []
    for trade in sorted(group, key=lambda trade: trade["time"]):
        codes = [rules[code][kind] for code in trade["conditions"] if code in rules]
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
    return [*map(decimal_text, prices), str(sum(volumes)), str(len(volumes)), decimal_text(average)]


def decimal_text(price):
    """Formats a price without trailing zeros: 126.5500 becomes 126.55."""
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Subscriber(threading.Thread):
    """Subscribes to the bars of a hub, keeps the last state of each, and counts them by kind."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.bars, self.counts = {}, defaultdict(int)
        host, port = address.rsplit(":", 1)
        self.stream = socket.create_connection((host, int(port))).makefile("rwb")
        request = (
            f"GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        self.write(request.encode())
        while self.stream.readline().strip():
            pass
        command = json.dumps({"action": "subscribe", **{name: ["*"] for name in CHANNELS}}).encode()
        self.write(bytes([TEXT, 0xFE, *len(command).to_bytes(2, "big"), 0, 0, 0, 0]) + command)

    def write(self, data):
        self.stream.write(data)
        self.stream.flush()

    def run(self):
        while head := self.stream.read(2):
            length = head[1]
            if length > 125:
                length = int.from_bytes(self.stream.read(2 if length == 126 else 8), "big")
            payload = self.stream.read(length)
            if head[0] == TEXT:
                for element in json.loads(payload, parse_float=Decimal):
                    self.receive(element)
            elif head[0] == PING:
                self.write(bytes([PONG, 0x80 | length, 0, 0, 0, 0]) + payload)

    def receive(self, element):
        kind = element["T"]
        if kind not in ("b", "u", "d"):
            return
        prices = [decimal_text(Decimal(element[key])) for key in ("o", "h", "l", "c")]
        average = decimal_text(Decimal(element["vw"]))
        fields = [*prices, str(element["v"]), str(element["n"]), average]
        self.bars["b" if kind == "u" else kind, element["S"], element["t"]] = fields
        self.counts[kind] += 1


class Hub:
    """A hub process and a subscriber to its bars."""

    def __init__(self, program):
        self.program = program
        command = [program, "hub", "--listen", "127.0.0.1:0", "--log-format", "json"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.address = self.read_address()
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.subscriber = Subscriber(self.address)
        self.subscriber.start()
        self.wait_for_metric("tickwire_subscriptions", lambda value: value == len(CHANNELS))

    def read_address(self):
        """Reads the address that the hub listens on from its log."""
        for line in self.process.stdout:
            if match := re.search(r'"address":"([^"]+)"', line):
                return match[1]
            print(line, end="", file=sys.stderr)
        sys.exit("the hub did not start")

    def metric(self, name):
        with urllib.request.urlopen(f"http://{self.address}/metrics") as answer:
            text = answer.read().decode()
        return int(re.search(rf"^{name} (\d+)", text, re.M)[1])

    def wait_for_metric(self, name, condition):
        deadline = time.monotonic() + TIMEOUT_S
        while not condition(self.metric(name)):
            if time.monotonic() > deadline:
                sys.exit(f"{name} is still {self.metric(name)} after {TIMEOUT_S} s")
            time.sleep(POLL_INTERVAL_S)

    def replay(self, files):
        hub = ["--hub", f"ws://{self.address}"]
        command = [self.program, "feed", "replay", "--speed", "max", *hub, *files]
        subprocess.run(command, check=True)

    def close_open_bars(self, last):
        """Publishes a trade of another symbol three minutes after time `last`.

        It advances the clock of the feed, which closes all open bars.
        """
        moment = datetime.fromtimestamp(last // 10**9, timezone.utc) + timedelta(minutes=3)
        what = {"T": "t", "S": "ZZZ", "t": timestamp(moment)}
        trade = {**what, "i": 1, "x": "D", "p": 1, "s": 0, "c": [], "z": ""}
        url = f"http://{self.address}/publish"
        request = urllib.request.Request(url, json.dumps([trade]).encode())
        urllib.request.urlopen(request).close()

    def stop(self):
        """Stops the hub, which first sends pending bars, and waits until they are received."""
        self.process.terminate()
        self.process.wait()
        self.subscriber.join(TIMEOUT_S)


def check(program, files):
    """Compares the bars of a hub with the expected ones; returns whether some differ."""
    wanted = expected(files)
    hub = Hub(program)
    try:
        hub.replay(files)
        hub.close_open_bars(max(trade["time"] for path in files for trade in trades(path)))
    finally:
        hub.stop()
    found, counts = hub.subscriber.bars, hub.subscriber.counts
    kinds = {kind: sum(key[0] == kind for key in wanted) for kind in "bd"}
    print(f"expected {kinds['b']} minutes and {kinds['d']} days; received {dict(counts)}")
    wrong = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
    for key in sorted(wrong):
        print(f"{' '.join(key)}: expected {wanted.get(key)}, got {found.get(key)}")
    print(f"{len(wrong)} bars differ" if wrong else "all bars are equal in all fields")
    return bool(wrong)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["expected", "check"])
    parser.add_argument("--tickwire", help="path of the tickwire program to check")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "check":
        if not arguments.tickwire:
            parser.error("check needs --tickwire PROGRAM")
        sys.exit(check(arguments.tickwire, arguments.files))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(FIELDS)
    for key, fields in sorted(expected(arguments.files).items()):
        writer.writerow([*key, *fields])


if __name__ == "__main__":
    main()
