// A Socket.IO server with a room per symbol. Usage: node socketio.js PORT
const { createServer } = require('node:http');
const { Server } = require('socket.io');

const http = createServer();
// So long that no heartbeat falls into a measurement.
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, pingInterval: 3_600_000 });
io.on('connection', (socket) => {
  socket.on('sub', (symbols, done) => {
    socket.join(symbols);
    done();
  });
  socket.on('pub', (symbol, data) => io.to(symbol).emit('tick', symbol, data));
});
http.listen(Number(process.argv[2]), '127.0.0.1');
