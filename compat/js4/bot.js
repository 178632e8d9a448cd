// A bot as its owner would write it, on an unmodified @alpacahq/alpaca-trade-api 4: subscribes to what argument 1 says
// and prints what its listeners are given, a line of JSON each, under the names of the wire. Errors go to stderr.
//
//   node bot.js '{"trades": ["AAPL"], "quotes": ["*"]}'      with STREAM_URL, API_KEY and API_SECRET in the environment
//
// Lines on stdin make it unsubscribe, like {"trades": ["AAPL"]}.

import { createInterface } from "node:readline";
import { streaming } from "@alpacahq/alpaca-trade-api";

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const stream = new streaming.StockDataStream({
  credentials: { keyId: process.env.API_KEY, secret: process.env.API_SECRET },
  url: process.env.STREAM_URL,
});

const bar = (T) => (event) =>
  say({
    T, S: event.symbol, t: event.timestampRaw,
    o: event.open, h: event.high, l: event.low, c: event.close,
    v: event.volume, n: event.tradeCount, vw: event.vwap,
  });

stream.onTrade((event) =>
  say({
    T: "t", S: event.symbol, t: event.timestampRaw, i: Number(event.idRaw), x: event.exchange,
    p: event.price, s: event.size, c: event.conditions, z: event.tape,
  }),
);
stream.onQuote((event) =>
  say({
    T: "q", S: event.symbol, t: event.timestampRaw, bx: event.bidExchange, bp: event.bidPrice, bs: event.bidSize,
    ax: event.askExchange, ap: event.askPrice, as: event.askSize, c: event.conditions, z: event.tape,
  }),
);
stream.onBar(bar("b"));
stream.onUpdatedBar(bar("u"));
stream.onDailyBar(bar("d"));
stream.onStatus((event) =>
  say({
    T: "s", S: event.symbol, t: event.timestampRaw, sc: event.statusCode, sm: event.statusMessage,
    rc: event.reasonCode, rm: event.reasonMessage, z: event.tape,
  }),
);
stream.onLuld((event) =>
  say({
    T: "l", S: event.symbol, t: event.timestampRaw, u: event.limitUpPrice, d: event.limitDownPrice,
    i: event.indicator, z: event.tape,
  }),
);
stream.onImbalance((event) =>
  say({ T: "i", S: event.symbol, t: event.timestampRaw, p: event.price, z: event.tape }),
);
stream.onCorrection((event) =>
  say({
    T: "c", S: event.symbol, t: event.timestampRaw, x: event.exchange,
    oi: event.originalId, op: event.originalPrice, os: event.originalSize, oc: event.originalConditions,
    ci: event.correctedId, cp: event.correctedPrice, cs: event.correctedSize, cc: event.correctedConditions,
    z: event.tape,
  }),
);
stream.onCancelError((event) =>
  say({
    T: "x", S: event.symbol, t: event.timestampRaw, i: Number(event.idRaw), x: event.exchange, p: event.price,
    s: event.size, a: event.action, z: event.tape,
  }),
);
stream.onError((error) => console.error(error));
stream.on("subscription", (set) => say({ subscribed: set }));

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
// In the callback, as the SDK's own example has it: each of these is sent twice. Once: after a reconnect the SDK
// subscribes again by itself.
stream.once("authenticated", () => {
  for (const [channel, symbols] of Object.entries(JSON.parse(process.argv[2]))) subscribe[channel](symbols);
});
stream.connect();

const unsubscribe = {
  trades: (symbols) => stream.unsubscribeFromTrades(symbols),
  quotes: (symbols) => stream.unsubscribeFromQuotes(symbols),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  for (const [channel, symbols] of Object.entries(JSON.parse(line))) unsubscribe[channel](symbols);
});
