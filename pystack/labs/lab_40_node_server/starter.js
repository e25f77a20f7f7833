// Lab 40: write a UDP server and a TCP server with Node.js. Both use port 7001.
//
// UDP: the answer to a datagram is a datagram with what `lookUp` finds for its text, to the
// address and port it came from.
//
// TCP: a line ends with "\n". The answer to a line is what `lookUp` finds for it, and "\n". The
// answers are in the order of the lines. Each is sent at once, also if the client has not yet
// acknowledged the one before. When a client has closed its half of the connection, the server
// sends the answers that are still missing, then "BYE ", the number of the client's lines and
// "\n", and closes the connection. If a client resets its connection, the server goes on with the
// others.
//
// The text is UTF-8. Write what you want to see with console.log.
'use strict';
const dgram = require('node:dgram');
const net = require('node:net');

const PORT = 7001;

// It stands for a database, which needs a moment.
function lookUp(text) {
  return new Promise((resolve) => setTimeout(resolve, 5, text.toUpperCase()));
}

const udp = dgram.createSocket('udp4');
udp.on('message', (data, peer) => {
  udp.send(data, peer.port, peer.address);
});
udp.bind(PORT);

const tcp = net.createServer((socket) => {
  socket.on('data', (chunk) => {
    socket.write(chunk);
  });
});
tcp.listen(PORT);
