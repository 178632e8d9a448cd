// A uWebSockets server with a topic per symbol. Usage: node uws.js PORT
const uWS = require('uwebsockets');

const server = uWS.App();
server.ws('/*', {
  idleTimeout: 0,
  maxBackpressure: 16 * 1024 * 1024,
  maxPayloadLength: 1024 * 1024,
  message: (socket, data) => {
    const text = Buffer.from(data).toString();
    const message = JSON.parse(text);
    if (!message.sub) {
      server.publish(message.s, text, false);
      return;
    }
    for (const symbol of message.sub) socket.subscribe(symbol);
    socket.send('subscribed', false);
  },
}).listen('127.0.0.1', Number(process.argv[2]), (listening) => {
  if (!listening) process.exit(1);
});
