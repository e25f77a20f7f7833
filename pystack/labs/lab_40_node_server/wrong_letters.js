// A typical wrong answer: each chunk becomes text by itself, which breaks letters of several bytes.
'use strict';
const dgram = require('node:dgram');
const net = require('node:net');

const PORT = 7001;

// It stands for a database, which needs a moment.
function lookUp(text) {
  return new Promise((resolve) => setTimeout(resolve, 5, text.toUpperCase()));
}

const udp = dgram.createSocket('udp4');
udp.on('message', async (data, peer) => {
  udp.send(await lookUp(data.toString('utf8')), peer.port, peer.address);
});
udp.bind(PORT);

const tcp = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  let rest = '';
  let count = 0;
  let last = Promise.resolve(); // the answer before, so that they keep their order

  function answer(line) {
    count += 1;
    const found = lookUp(line);
    last = last.then(async () => socket.write((await found) + '\n'));
  }

  socket.on('data', (chunk) => {
    rest += chunk.toString('utf8');
    const lines = rest.split('\n');
    rest = lines.pop();
    lines.forEach(answer);
  });
  socket.on('end', () => last.then(() => socket.end(`BYE ${count}\n`)));
  socket.on('error', (error) => console.error(error.message));
});
tcp.listen(PORT);
