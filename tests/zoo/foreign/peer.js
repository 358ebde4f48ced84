// SPDX-License-Identifier: MPL-2.0
// Peers of the zoo on the npm package "zeromq": peer.js reply|router|publish BIND, or peer.js req|dealer|sub CONNECT CLIENTS THINK_MS.
// What a client did is printed as the zoo's programs print it: "op DONE_NS LATENCY_NS".
"use strict"
const zmq = require("zeromq")

const START = BigInt(process.env.ZOO_START_NS || 0)
const END = BigInt(process.env.ZOO_END_NS || 0)
const now = () => process.hrtime.bigint()
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const out = []

function op(since) {
  if (since >= START) out.push(`op ${now()} ${now() - since}`)
}

function stamp() {
  const frame = Buffer.alloc(16)
  frame.writeBigUInt64BE(now(), 8)
  return frame
}

async function application(kind, endpoint) {
  const socket = new { reply: zmq.Reply, router: zmq.Router, publish: zmq.Publisher }[kind]()
  await socket.bind(endpoint)
  if (kind !== "publish") for await (const frames of socket) await socket.send(frames)
  for (;;) {
    for (let i = 0; i < 8; i++) await socket.send(["news", stamp()])
    await sleep(20)
  }
}

async function asker(kind, endpoint, think) {
  const socket = new { req: zmq.Request, dealer: zmq.Dealer }[kind]()
  socket.connect(endpoint)
  while (now() < END) {
    const since = now()
    const number = stamp()
    await socket.send([number, "x".repeat(40)])
    const answer = await socket.receive()
    if (!answer[0].equals(number)) console.log("broken an answer to another question")
    op(since)
    await sleep(think * (0.5 + Math.random()))
  }
  socket.close()
}

async function subscriber(endpoint) {
  const socket = new zmq.Subscriber({ receiveTimeout: 1000 })
  socket.subscribe("news")
  socket.connect(endpoint)
  while (now() < END) op((await socket.receive())[1].readBigUInt64BE(8))
  socket.close()
}

async function main([kind, endpoint, clients, think]) {
  if (!clients) return application(kind, endpoint)
  const one = kind === "sub" ? () => subscriber(endpoint) : () => asker(kind, endpoint, Number(think))
  await Promise.all(Array.from({ length: Number(clients) }, one))
  console.log(out.join("\n"))
  process.exit(0)
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exit(1)
})
