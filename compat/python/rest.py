"""Asks the REST data client of an unmodified alpaca-py for the last values of symbols, and prints them as JSON.

    rest.py XXX YYY        with REST_URL, API_KEY and API_SECRET in the environment
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

from bot import NAMES, plain


def wire(kind, event):
    return event and {key: plain(getattr(event, name)) for key, name in NAMES[kind].items()}


def snapshot(values):
    return {
        "latestTrade": wire("t", values.latest_trade),
        "latestQuote": wire("q", values.latest_quote),
        "minuteBar": wire("b", values.minute_bar),
        "dailyBar": wire("d", values.daily_bar),
        "prevDailyBar": wire("d", values.previous_daily_bar),
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
        "trades": {symbol: wire("t", trade) for symbol, trade in trades.items()},
        "quotes": {symbol: wire("q", quote) for symbol, quote in quotes.items()},
        "bars": {symbol: wire("b", bar) for symbol, bar in bars.items()},
        "snapshots": {symbol: snapshot(values) for symbol, values in snapshots.items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
