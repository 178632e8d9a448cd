"""A bot as its owner would write it, on an unmodified alpaca-py: subscribes to what argument 1 says and prints what
its handlers are given, a line of JSON each, under the names of the wire. Its log goes to stderr.

    bot.py '{"trades": ["AAPL"], "quotes": ["*"]}'        with STREAM_URL, API_KEY and API_SECRET in the environment

Lines on stdin make it unsubscribe, like {"trades": ["AAPL"]}.
"""

import ast
import json
import logging
import os
import re
import sys
import threading

from alpaca.data import mappings
from alpaca.data.live import StockDataStream

# How the SDK calls the fields, by type of event.
NAMES = {
    "t": mappings.TRADE_MAPPING,
    "q": mappings.QUOTE_MAPPING,
    "b": mappings.BAR_MAPPING,
    "u": mappings.BAR_MAPPING,
    "d": mappings.BAR_MAPPING,
    "s": mappings.TRADING_STATUS_MAPPING,
    "c": mappings.TRADE_CORRECTION_MAPPING,
    "x": mappings.TRADE_CANCEL_MAPPING,
}


def say(line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def plain(value):
    """A value as JSON has it: times to the microsecond that a datetime holds, enums by their value."""
    if hasattr(value, "astimezone"):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return getattr(value, "value", value)


def handler(kind):
    async def handle(event):
        fields = {wire: plain(getattr(event, name)) for wire, name in NAMES[kind].items()}
        say({"T": kind, "S": event.symbol, **fields})

    return handle


class Acknowledgements(logging.Handler):
    """The SDK tells what it is subscribed to in its log only."""

    def emit(self, record):
        text = record.getMessage()
        if text.startswith("subscribed to"):
            say({"subscribed": {k: ast.literal_eval(v) for k, v in re.findall(r"(\w+): (\[.*?\])", text)}})


def main():
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s")
    sdk_log = logging.getLogger("alpaca.data.live.websocket")
    sdk_log.setLevel(logging.INFO)
    sdk_log.handlers = [Acknowledgements(logging.INFO)]
    logging.getLogger().handlers[0].setLevel(logging.WARNING)

    stream = StockDataStream(
        os.environ["API_KEY"], os.environ["API_SECRET"], url_override=os.environ["STREAM_URL"]
    )
    subscribe = {
        "trades": lambda symbols: stream.subscribe_trades(handler("t"), *symbols),
        "quotes": lambda symbols: stream.subscribe_quotes(handler("q"), *symbols),
        "bars": lambda symbols: stream.subscribe_bars(handler("b"), *symbols),
        "updatedBars": lambda symbols: stream.subscribe_updated_bars(handler("u"), *symbols),
        "dailyBars": lambda symbols: stream.subscribe_daily_bars(handler("d"), *symbols),
        "statuses": lambda symbols: stream.subscribe_trading_statuses(handler("s"), *symbols),
    }
    for channel, symbols in json.loads(sys.argv[1]).items():
        if channel in subscribe:
            subscribe[channel](symbols)
    stream.register_trade_corrections(handler("c"))
    stream.register_trade_cancels(handler("x"))
    threading.Thread(target=obey, args=[stream], daemon=True).start()
    stream.run()


def obey(stream):
    unsubscribe = {"trades": stream.unsubscribe_trades, "quotes": stream.unsubscribe_quotes}
    for line in sys.stdin:
        for channel, symbols in json.loads(line).items():
            unsubscribe[channel](*symbols)


if __name__ == "__main__":
    main()
