"""Prints the last values of symbols, as the REST client of an unmodified alpaca-py returns them.

    rest.py XXX YYY

REST_URL, API_KEY and API_SECRET come from the environment.
"""

import json
import os
import sys

from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import (
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)

from bot import NAMES, to_json


def wire_fields(kind, event):
    """Returns an event with the field names of the wire; None if there is no event."""
    return event and {key: to_json(getattr(event, name)) for key, name in NAMES[kind].items()}


def snapshot(values):
    return {
        "latestTrade": wire_fields("t", values.latest_trade),
        "latestQuote": wire_fields("q", values.latest_quote),
        "minuteBar": wire_fields("b", values.minute_bar),
        "dailyBar": wire_fields("d", values.daily_bar),
        "prevDailyBar": wire_fields("d", values.previous_daily_bar),
    }


def main():
    client = StockHistoricalDataClient(
        os.environ["API_KEY"], os.environ["API_SECRET"], url_override=os.environ["REST_URL"]
    )
    symbols = sys.argv[1:]
    trades = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbols))
    quotes = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbols))
    bars = client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=symbols))
    snapshots = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbols))
    answer = {
        "trades": {symbol: wire_fields("t", trade) for symbol, trade in trades.items()},
        "quotes": {symbol: wire_fields("q", quote) for symbol, quote in quotes.items()},
        "bars": {symbol: wire_fields("b", bar) for symbol, bar in bars.items()},
        "snapshots": {symbol: snapshot(values) for symbol, values in snapshots.items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
