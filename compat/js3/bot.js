// A bot as a user would write it, on an unmodified @alpacahq/alpaca-trade-api 3. It subscribes to
// the symbols of argument 1 and prints each event that its listeners receive as a line of JSON,
// with the field names of the wire. Errors go to stderr.
//
//   node bot.js '{"trades": ["AAPL"], "quotes": ["*"]}'
//
// STREAM_URL, API_KEY and API_SECRET come from the environment. A line on stdin, such as
// {"trades": ["AAPL"]}, unsubscribes.
// The SDK turns every URL into wss:// and appends /v2/sip.

import { createInterface } from "node:readline";
import Alpaca from "@alpacahq/alpaca-trade-api";

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const alpaca = new Alpaca({
  keyId: process.env.API_KEY,
  secretKey: process.env.API_SECRET,
  dataStreamUrl: process.env.STREAM_URL,
  feed: "sip",
  verbose: true,
});
const stream = alpaca.data_stream_v2;

// The SDK reports an acknowledged subscription only by a line of its log, just before it stores it.
console.log = (text) => {
  if (String(text).startsWith("listening to streams")) {
    setImmediate(() => print({ subscribed: stream.getSubscriptions() }));
  }
};

// The SDK's name of each field of the wire, by type of event.
const NAMES = {
  t: { i: "ID", x: "Exchange", p: "Price", s: "Size", c: "Conditions", z: "Tape" },
  q: {
    bx: "BidExchange", bp: "BidPrice", bs: "BidSize",
    ax: "AskExchange", ap: "AskPrice", as: "AskSize",
    c: "Conditions", z: "Tape",
  },
  b: {
    o: "OpenPrice", h: "HighPrice", l: "LowPrice", c: "ClosePrice",
    v: "Volume", n: "TradeCount", vw: "VWAP",
  },
  s: { sc: "StatusCode", sm: "StatusMessage", rc: "ReasonCode", rm: "ReasonMessage", z: "Tape" },
  l: { u: "LimitUpPrice", d: "LimitDownPrice", i: "Indicator", z: "Tape" },
  x: { i: "ID", x: "Exchange", p: "Price", s: "Size", a: "CancelErrorAction", z: "Tape" },
  c: {
    x: "Exchange",
    oi: "OriginalID", op: "OriginalPrice", os: "OriginalSize", oc: "OriginalConditions",
    ci: "CorrectedID", cp: "CorrectedPrice", cs: "CorrectedSize", cc: "CorrectedConditions",
    z: "Tape",
  },
};
NAMES.u = NAMES.d = NAMES.b;

const printAs = (T) => (event) => {
  const fields = Object.entries(NAMES[T]).map(([wire, name]) => [wire, event[name]]);
  print({ T, S: event.Symbol, t: event.Timestamp, ...Object.fromEntries(fields) });
};
stream.onStockTrade(printAs("t"));
stream.onStockQuote(printAs("q"));
stream.onStockBar(printAs("b"));
stream.onStockUpdatedBar(printAs("u"));
stream.onStockDailyBar(printAs("d"));
stream.onStatuses(printAs("s"));
stream.onLulds(printAs("l"));
stream.onCorrections(printAs("c"));
stream.onCancelErrors(printAs("x"));
stream.onError((error) => console.error(error));

const subscribe = {
  trades: (symbols) => stream.subscribeForTrades(symbols),
  quotes: (symbols) => stream.subscribeForQuotes(symbols),
  bars: (symbols) => stream.subscribeForBars(symbols),
  updatedBars: (symbols) => stream.subscribeForUpdatedBars(symbols),
  dailyBars: (symbols) => stream.subscribeForDailyBars(symbols),
  statuses: (symbols) => stream.subscribeForStatuses(symbols),
  lulds: (symbols) => stream.subscribeForLulds(symbols),
};
stream.onConnect(() => {
  const channels = Object.entries(JSON.parse(process.argv[2]));
  for (const [channel, symbols] of channels) subscribe[channel]?.(symbols);
});
stream.connect();

const unsubscribe = {
  trades: (symbols) => stream.unsubscribeFromTrades(symbols),
  quotes: (symbols) => stream.unsubscribeFromQuotes(symbols),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  for (const [channel, symbols] of Object.entries(JSON.parse(line))) unsubscribe[channel](symbols);
});
