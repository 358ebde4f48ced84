// SPDX-License-Identifier: MPL-2.0
// A peer on the npm package "zeromq": peer.js '{"kind": "req", "connect": "tcp://...", "options": {...}}'. Clients go through the messages of
// messages.py once and print "done"; any difference ends with code 1. kind "reply" is an application: it binds and echoes.
"use strict"
const zmq = require("zeromq")

const SHAPES = [[0], [1], [0, 0], [255], [256, 0, 1], [65535], [65536, 1], [1 << 20], [(1 << 20) + 1, 0, 300000], Array(100).fill(100)]
const TYPES = { req: zmq.Request, dealer: zmq.Dealer, push: zmq.Push, sub: zmq.Subscriber, pair: zmq.Pair, reply: zmq.Reply }

function frame(m, f, size) {
  const cycle = Buffer.from(Array.from({ length: 256 }, (_, j) => (31 * j + 7 * f + 13 * m) & 255))
  return size ? Buffer.alloc(size, cycle) : Buffer.alloc(0)
}

function message(m) {
  return SHAPES[m].map((size, f) => frame(m, f, size))
}

function check(m, got, wanted) {
  const same = got.length === wanted.length && got.every((part, f) => part.equals(wanted[f]))
  if (!same) throw new Error(`message ${m}: got frames of ${got.map((part) => part.length)}, wanted ${wanted.map((part) => part.length)}`)
}

async function talk(kind, socket) {
  if (kind === "sub") socket.subscribe("news")
  for (let m = 0; m < SHAPES.length; m++) {
    const wanted = message(m)
    if (kind === "sub") {
      check(m, await socket.receive(), [Buffer.from("news"), ...wanted])
      continue
    }
    await socket.send(wanted)
    if (kind !== "push") check(m, await socket.receive(), wanted)
  }
}

async function main(spec) {
  const socket = new TYPES[spec.kind](spec.options)
  if (spec.bind) {
    await socket.bind(spec.bind)
    console.log(`ready ${socket.lastEndpoint}`)
    for await (const frames of socket) await socket.send(frames)
  }
  socket.connect(spec.connect)
  await talk(spec.kind, socket)
  console.log("done")
  // A pusher's messages may still be on their way; the test ends it when they have arrived.
  await new Promise((resolve) => process.stdin.once("data", resolve).once("end", resolve))
  socket.linger = 0
  socket.close()
  process.exit(0)
}

main(JSON.parse(process.argv[2])).catch((error) => {
  console.error(error)
  process.exit(1)
})
