import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * Below every ephemeral range in use (32768 on Linux), so that neither an outgoing connection nor anybody's `listen(0)` takes a port between the moment it
 * was found free and the moment its user listens; and low enough for a Cluster's bus, 10000 above. Each worker of vitest walks a part of its own.
 */
const LOWEST = 12_000
const PART = 2_500
const PARTS = 4

const part = LOWEST + PART * (Number(process.env['VITEST_POOL_ID'] ?? process.pid) % PARTS)
let next = Math.floor(Math.random() * PART)

const isFree = async (port: number): Promise<boolean> => {
  const probe = createServer()
  try {
    await once(probe.listen(port, '127.0.0.1'), 'listening')
  } catch {
    return false
  }
  probe.close()
  await once(probe, 'close')
  return true
}

/** A port of 127.0.0.1 that nobody listens on, and that this process has not been given before. */
export const freePort = async (): Promise<number> => {
  for (let tried = 0; tried < PART; tried += 1) {
    const port = part + next
    next = (next + 1) % PART
    if (await isFree(port)) return port
  }
  throw new Error(`no free port from ${part} to ${part + PART - 1}`)
}
