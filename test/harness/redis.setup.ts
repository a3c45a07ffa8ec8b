import type { TestProject } from 'vitest/node'
import type { Program } from './debs.ts'
import './provided.ts'
import { findRedis, installedRedis } from './redis-program.ts'
import { startRedisServer } from './redis-server.ts'

interface Found {
  readonly url: string
  readonly how: string
  readonly stop: () => Promise<void>
}

const say = (line: string): void => void process.stdout.write(`[redis] ${line}\n`)
const reason = (error: unknown): string => (error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'unknown')

/** Kept thin and not proven where there is no container runtime; its probe then fails within milliseconds. */
const fromContainer = async (): Promise<Found | undefined> => {
  const { GenericContainer, getContainerRuntimeClient } = await import('testcontainers')
  const runtime = await getContainerRuntimeClient().catch(() => undefined)
  if (!runtime) return undefined
  const container = await new GenericContainer('redis:8-alpine').withExposedPorts(6379).start()
  const stop = async (): Promise<void> => void (await container.stop())
  return { url: `redis://${container.getHost()}:${container.getMappedPort(6379)}`, how: 'testcontainers', stop }
}

const attempt = async <T>(what: string, get: () => T | Promise<T>): Promise<T | undefined> => {
  try {
    return await get()
  } catch (error) {
    say(`${what}: ${reason(error)}`)
    return undefined
  }
}

/** As `findRedis`, and where there is none the reason is said and the tests that need one are skipped. */
export const findProgram = (): Promise<Program | undefined> => attempt('Redis', findRedis)

const own = async (program: Program | undefined): Promise<Found | undefined> => {
  if (!program) return undefined
  const server = await startRedisServer(program, { args: ['--appendonly', 'no'] })
  return { url: server.url, how: program.how, stop: () => server.stop() }
}

/** Vitest global set-up: a Redis to test against, from the first source that has one, and the program for tests that need their own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['TEST_REDIS_URL']
  const installed = installedRedis()
  let found: Found | undefined = given ? { url: given, how: 'TEST_REDIS_URL', stop: async () => {} } : await own(installed)
  found ??= await attempt('testcontainers', fromContainer)
  // Needed beside a given or contained Redis as well: that one is not ours to freeze.
  const program = await findProgram()
  found ??= await attempt('start', () => own(program))

  project.provide('redisUrl', found?.url ?? null)
  project.provide('redisProgram', program ?? null)
  if (!found || !program) {
    const line = `NO REDIS${found ? ' TO FREEZE AND RESTART' : ''}: tests that need one are SKIPPED. Install redis-server or set TEST_REDIS_URL.`
    if (process.env['CI']) throw new Error(line)
    say(line)
  }
  if (found) say(`using ${found.how}${program && program.how !== found.how ? `; to freeze and restart: ${program.how}` : ''}`)
  return async () => found?.stop()
}
