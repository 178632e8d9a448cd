// A bot as a user would write it, on an unmodified @alpacahq/alpaca-trade-api 4. It subscribes to
// the symbols of argument 1 and prints each event that its listeners receive as a line of JSON,
// with the field names of the wire. Errors go to stderr.
//
//   node bot.js '{"trades": ["AAPL"], "quotes": ["*"]}'
//
// STREAM_URL, API_KEY and API_SECRET come from the environment. A line on stdin, such as
// {"trades": ["AAPL"]}, unsubscribes.

import { createInterface } from "node:readline";
import { streaming } from "@alpacahq/alpaca-trade-api";

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const stream = new streaming.StockDataStream({
  credentials: { keyId: process.env.API_KEY, secret: process.env.API_SECRET },
  url: process.env.STREAM_URL,
});

const bar = (T) => (event) =>
  print({
    T, S: event.symbol, t: event.timestampRaw,
    o: event.open, h: event.high, l: event.low, c: event.close,
    v: event.volume, n: event.tradeCount, vw: event.vwap,
  });

stream.onTrade((event) =>
  print({
    T: "t", S: event.symbol, t: event.timestampRaw, i: Number(event.idRaw), x: event.exchange,
    p: event.price, s: event.size, c: event.conditions, z: event.tape,
  }),
);
stream.onQuote((event) =>
  print({
    T: "q", S: event.symbol, t: event.timestampRaw,
    bx: event.bidExchange, bp: event.bidPrice, bs: event.bidSize,
    ax: event.askExchange, ap: event.askPrice, as: event.askSize,
    c: event.conditions, z: event.tape,
  }),
);
stream.onBar(bar("b"));
stream.onUpdatedBar(bar("u"));
stream.onDailyBar(bar("d"));
stream.onStatus((event) =>
  print({
    T: "s", S: event.symbol, t: event.timestampRaw, sc: event.statusCode, sm: event.statusMessage,
    rc: event.reasonCode, rm: event.reasonMessage, z: event.tape,
  }),
);
stream.onLuld((event) =>
  print({
    T: "l", S: event.symbol, t: event.timestampRaw, u: event.limitUpPrice, d: event.limitDownPrice,
    i: event.indicator, z: event.tape,
  }),
);
stream.onImbalance((event) =>
  print({ T: "i", S: event.symbol, t: event.timestampRaw, p: event.price, z: event.tape }),
);
stream.onCorrection((event) =>
  print({
    T: "c", S: event.symbol, t: event.timestampRaw, x: event.exchange,
    oi: event.originalId, op: event.originalPrice,
    os: event.originalSize, oc: event.originalConditions,
    ci: event.correctedId, cp: event.correctedPrice,
    cs: event.correctedSize, cc: event.correctedConditions,
    z: event.tape,
  }),
);
stream.onCancelError((event) =>
  print({
    T: "x", S: event.symbol, t: event.timestampRaw, i: Number(event.idRaw), x: event.exchange,
    p: event.price, s: event.size, a: event.action, z: event.tape,
  }),
);
stream.onError((error) => console.error(error));
stream.on("subscription", (set) => print({ subscribed: set }));

const subscribe = {
  trades: (symbols) => stream.subscribeForTrades(symbols),
  quotes: (symbols) => stream.subscribeForQuotes(symbols),
  bars: (symbols) => stream.subscribeForBars(symbols),
  updatedBars: (symbols) => stream.subscribeForUpdatedBars(symbols),
  dailyBars: (symbols) => stream.subscribeForDailyBars(symbols),
  statuses: (symbols) => stream.subscribeForStatuses(symbols),
  lulds: (symbols) => stream.subscribeForLulds(symbols),
  imbalances: (symbols) => stream.subscribeForImbalances(symbols),
};
// Subscribed in the callback, as in the SDK's own example; the SDK then sends each subscribe twice.
// With `once`, because after a reconnect the SDK subscribes again by itself.
stream.once("authenticated", () => {
  const channels = Object.entries(JSON.parse(process.argv[2]));
  for (const [channel, symbols] of channels) subscribe[channel](symbols);
});
stream.connect();

const unsubscribe = {
  trades: (symbols) => stream.unsubscribeFromTrades(symbols),
  quotes: (symbols) => stream.unsubscribeFromQuotes(symbols),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  for (const [channel, symbols] of Object.entries(JSON.parse(line))) unsubscribe[channel](symbols);
});
