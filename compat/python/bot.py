"""A bot as a user would write it, on an unmodified alpaca-py.

It subscribes to the symbols of argument 1 and prints each event that its handlers receive as a line
of JSON, with the field names of the wire. Its log goes to stderr.

    bot.py '{"trades": ["AAPL"], "quotes": ["*"]}'

STREAM_URL, API_KEY and API_SECRET come from the environment. A line on stdin, such as
{"trades": ["AAPL"]}, unsubscribes.
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

# The SDK's name of each field of the wire, by type of event.
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


def print_json(value):
    print(json.dumps(value, ensure_ascii=False), flush=True)


def to_json(value):
    """Converts a time, to the microsecond that a datetime holds, or an enum to a JSON value."""
    if hasattr(value, "astimezone"):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return getattr(value, "value", value)


def handler(kind):
    """Returns a handler that prints events of one type."""

    async def handle(event):
        fields = {wire: to_json(getattr(event, name)) for wire, name in NAMES[kind].items()}
        print_json({"T": kind, "S": event.symbol, **fields})

    return handle


class Acknowledgements(logging.Handler):
    """Prints acknowledged subscriptions, which the SDK reports only in its log."""

    def emit(self, record):
        text = record.getMessage()
        if text.startswith("subscribed to"):
            channels = re.findall(r"(\w+): (\[.*?\])", text)
            subscribed = {name: ast.literal_eval(symbols) for name, symbols in channels}
            print_json({"subscribed": subscribed})


def main():
    log_format = "%(levelname)s %(message)s"
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format=log_format)
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
    threading.Thread(target=unsubscribe_on_input, args=[stream], daemon=True).start()
    stream.run()


def unsubscribe_on_input(stream):
    """Unsubscribes from the symbols of each line on stdin."""
    unsubscribe = {"trades": stream.unsubscribe_trades, "quotes": stream.unsubscribe_quotes}
    for line in sys.stdin:
        for channel, symbols in json.loads(line).items():
            unsubscribe[channel](*symbols)


if __name__ == "__main__":
    main()
