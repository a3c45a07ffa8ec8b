#!/usr/bin/env node
// Plain JavaScript that Node 18 still reads: its work is to find a Node that reads the rest.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const NEEDED = 24
const RELAUNCHED = '_SALLYPORT_RELAUNCHED'
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

const giveUp = (why) => {
  process.stderr.write(`sallyport needs Node.js ${NEEDED} or newer, this is ${process.versions.node}: ${why}\n`)
  process.exitCode = 1
}

/** The same command on the Node that package.json pins; signals go through, the exit code or signal comes back. */
const relaunch = (node) => {
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit', env: { ...process.env, [RELAUNCHED]: '1' } })
  const forward = (signal) => child.kill(signal)
  // A terminal sends SIGINT to both processes; a second one would cut the orderly end of the first.
  const swallow = () => {}
  const handlers = { SIGTERM: forward, SIGHUP: forward, SIGINT: process.stdin.isTTY ? swallow : forward }
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler)
  child.once('error', (error) => giveUp(`the pinned one does not start (${error.code}).`))
  child.once('exit', (code, signal) => {
    for (const [name, handler] of Object.entries(handlers)) process.off(name, handler)
    process.exitCode = signal ? 128 + constants.signals[signal] : (code ?? 1)
    if (signal) process.kill(process.pid, signal)
  })
}

const pinned = here('../node_modules/.bin/node')
if (Number.parseInt(process.versions.node, 10) >= NEEDED) {
  // The image has no src/; a checkout has it and may have a stale dist/.
  await import(new URL(existsSync(here('../src/cli/main.ts')) ? '../src/cli/main.ts' : '../dist/cli/main.js', import.meta.url).href)
} else if (process.env[RELAUNCHED]) giveUp('the pinned one is too old as well. Run `npm ci`.')
else if (existsSync(pinned)) relaunch(pinned)
else giveUp('run `npm ci` here, which brings one, or install it.')
