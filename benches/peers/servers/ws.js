// A ws server with a set of sockets per symbol and one buffer per tick. Usage: node ws.js PORT
const { WebSocketServer } = require('ws');

const subscribers = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: false });
server.on('connection', (socket) => socket.on('message', (data) => {
  const message = JSON.parse(data);
  if (!message.sub) {
    for (const subscriber of subscribers.get(message.s) ?? []) subscriber.send(data, { binary: false });
    return;
  }
  for (const symbol of message.sub) {
    if (!subscribers.has(symbol)) subscribers.set(symbol, new Set());
    subscribers.get(symbol).add(socket);
  }
  socket.send('subscribed');
}));
