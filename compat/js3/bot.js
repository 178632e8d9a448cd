// A bot as its owner would write it, on an unmodified @alpacahq/alpaca-trade-api 3: subscribes to what argument 1 says
// and prints what its listeners are given, a line of JSON each, under the names of the wire. Errors go to stderr.
//
//   node bot.js '{"trades": ["AAPL"], "quotes": ["*"]}'      with STREAM_URL, API_KEY and API_SECRET in the environment
//
// The SDK makes a wss:// of every URL and adds /v2/sip. Lines on stdin make it unsubscribe, like {"trades": ["AAPL"]}.

import { createInterface } from "node:readline";
import Alpaca from "@alpacahq/alpaca-trade-api";

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const alpaca = new Alpaca({
  keyId: process.env.API_KEY,
  secretKey: process.env.API_SECRET,
  dataStreamUrl: process.env.STREAM_URL,
  feed: "sip",
  verbose: true,
});
const stream = alpaca.data_stream_v2;

// What it is subscribed to, the SDK tells in its log only, and keeps it after that.
console.log = (text) => {
  if (String(text).startsWith("listening to streams")) {
    setImmediate(() => say({ subscribed: stream.getSubscriptions() }));
  }
};

// The SDK's names of the wire's keys.
const names = {
  t: { i: "ID", x: "Exchange", p: "Price", s: "Size", c: "Conditions", z: "Tape" },
  q: {
    bx: "BidExchange", bp: "BidPrice", bs: "BidSize", ax: "AskExchange", ap: "AskPrice", as: "AskSize",
    c: "Conditions", z: "Tape",
  },
  b: { o: "OpenPrice", h: "HighPrice", l: "LowPrice", c: "ClosePrice", v: "Volume", n: "TradeCount", vw: "VWAP" },
  s: { sc: "StatusCode", sm: "StatusMessage", rc: "ReasonCode", rm: "ReasonMessage", z: "Tape" },
  l: { u: "LimitUpPrice", d: "LimitDownPrice", i: "Indicator", z: "Tape" },
  x: { i: "ID", x: "Exchange", p: "Price", s: "Size", a: "CancelErrorAction", z: "Tape" },
  c: {
    x: "Exchange", oi: "OriginalID", op: "OriginalPrice", os: "OriginalSize", oc: "OriginalConditions",
    ci: "CorrectedID", cp: "CorrectedPrice", cs: "CorrectedSize", cc: "CorrectedConditions", z: "Tape",
  },
};
names.u = names.d = names.b;

const tell = (T) => (event) => {
  const fields = Object.entries(names[T]).map(([wire, name]) => [wire, event[name]]);
  say({ T, S: event.Symbol, t: event.Timestamp, ...Object.fromEntries(fields) });
};
stream.onStockTrade(tell("t"));
stream.onStockQuote(tell("q"));
stream.onStockBar(tell("b"));
stream.onStockUpdatedBar(tell("u"));
stream.onStockDailyBar(tell("d"));
stream.onStatuses(tell("s"));
stream.onLulds(tell("l"));
stream.onCorrections(tell("c"));
stream.onCancelErrors(tell("x"));
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
  for (const [channel, symbols] of Object.entries(JSON.parse(process.argv[2]))) subscribe[channel]?.(symbols);
});
stream.connect();

const unsubscribe = {
  trades: (symbols) => stream.unsubscribeFromTrades(symbols),
  quotes: (symbols) => stream.unsubscribeFromQuotes(symbols),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  for (const [channel, symbols] of Object.entries(JSON.parse(line))) unsubscribe[channel](symbols);
});
