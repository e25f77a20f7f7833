// A typical wrong answer: it collects datagrams until there is a line.
'use strict';
const dgram = require('node:dgram');
const net = require('node:net');

const PORT = 7001;

// It stands for a database, which needs a moment.
function lookUp(text) {
  return new Promise((resolve) => setTimeout(resolve, 5, text.toUpperCase()));
}

const udp = dgram.createSocket('udp4');
let text = '';
udp.on('message', async (data, peer) => {
  text += data.toString('utf8');
  if (text.includes('\n')) {
    udp.send(await lookUp(text), peer.port, peer.address);
    text = '';
  }
});
udp.bind(PORT);

const tcp = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  let rest = Buffer.alloc(0);
  let count = 0;
  let last = Promise.resolve(); // the answer before, so that they keep their order

  function answer(line) {
    count += 1;
    const found = lookUp(line.toString('utf8'));
    last = last.then(async () => socket.write((await found) + '\n'));
  }

  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let end;
    while ((end = rest.indexOf(10)) >= 0) {
      answer(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
  });
  socket.on('end', () => last.then(() => socket.end(`BYE ${count}\n`)));
  socket.on('error', (error) => console.error(error.message));
});
tcp.listen(PORT);
