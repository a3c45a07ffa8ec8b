import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { millis, systemClock } from '../../src/kernel/time.ts'
import { openRedis } from '../../src/session/open-redis.ts'
import type { RedisServers, RedisSettings } from '../../src/session/settings-redis.ts'
import { PRIMARY_NAME, startSentinel } from '../harness/redis-fleet.ts'
import { type RedisServer, startRedisServer, type TlsFiles } from '../harness/redis-server.ts'
import { canStartRedis } from '../harness/redis.ts'
import { selfSigned } from '../harness/self-signed.ts'
import { Recorder, until } from './session-store-kit.ts'

const SECRET = 'CANARY-sentinel-password'
const at = (port: number) => ({ host: '127.0.0.1', port })

describe.skipIf(!canStartRedis)('Redis over TLS, asking for a certificate', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-tls-'))
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, `${SECRET}\n`)
  /** Signed by nobody but itself, good for server and client, for `localhost` and 127.0.0.1. */
  const pairIn = (name: string): TlsFiles => {
    const { certificate, key } = selfSigned({ kind: 'ec' })
    const [certificateFile, privateKeyFile] = [join(dir, `${name}.pem`), join(dir, `${name}-key.pem`)]
    writeFileSync(certificateFile, certificate)
    writeFileSync(privateKeyFile, key)
    return { caFile: certificateFile, certificateFile, privateKeyFile }
  }
  const [files, others] = [pairIn('ours'), pairIn('others')]
  const stops: (() => Promise<void>)[] = []
  let one: RedisServer
  let node: RedisServer
  let sentinel: Awaited<ReturnType<typeof startSentinel>>
  beforeAll(async () => {
    const program = inject('redisProgram')!
    const started = <T extends { stop(): Promise<void> }>(server: T): T => {
      stops.push(() => server.stop())
      return server
    }
    one = started(await startRedisServer(program, { tls: files, args: ['--appendonly', 'no'] }))
    node = started(
      await startRedisServer(program, {
        tls: files,
        args: ['--appendonly', 'no', '--cluster-enabled', 'yes', '--tls-cluster', 'yes', '--cluster-announce-ip', '127.0.0.1'],
      }),
    )
    const read = (file: string) => readFileSync(file)
    const tls = { ca: read(files.caFile), cert: read(files.certificateFile), key: read(files.privateKeyFile) }
    const raw = new Redis(node.port, '127.0.0.1', { tls })
    raw.on('error', () => {})
    await raw.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    await until(async () => String(await raw.call('CLUSTER', 'INFO')).includes('cluster_state:ok'))
    raw.disconnect()
    sentinel = started(await startSentinel(program, one.port, { tls: files, password: SECRET, quorum: 1 }))
  })
  afterAll(async () => {
    for (const stop of stops) await stop()
    rmSync(dir, { recursive: true, force: true })
  })

  const opened = (servers: RedisServers, proof: Partial<RedisSettings>) => {
    const recorder = new Recorder()
    const settings = {
      ...servers,
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
      keyPrefix: 't',
      ...proof,
    }
    const { connection, channel } = openRedis({ settings, clock: systemClock, log: recorder.log, metrics: recorder.metrics }, 't:events')
    let armed = false
    const heard: string[] = []
    channel.start({ armed: () => (armed = true), lost: () => (armed = false), beat: () => {}, change: ({ ref }) => heard.push(ref) })
    const close = async (): Promise<void> => {
      await channel.close()
      await connection.close()
    }
    return { recorder, connection, close, isArmed: () => armed }
  }
  const servers: Readonly<Record<string, () => RedisServers>> = {
    'one server': () => ({ url: one.url }),
    'a Cluster': () => ({ cluster: { nodes: [at(node.port)] }, tls: true }),
    sentinels: () => ({ sentinel: { name: PRIMARY_NAME, nodes: [at(sentinel.port)], username: 'sallyport', passwordFile }, tls: true }),
  }

  it.each(Object.keys(servers))('%s: commands and the event channel work with our certificate', async (name) => {
    const { recorder, connection, close, isArmed } = opened(servers[name]!(), files)
    try {
      await until(() => connection.reachable() && isArmed())
      expect(await connection.call('set', (client) => client.set('k', 'v'))).toBe('OK')
      await systemClock.sleep(millis(100))
      expect(recorder.lines.filter((line) => line.startsWith('warn'))).toEqual([])
      expect(recorder.lines.join('\n')).not.toContain('CANARY')
    } finally {
      await close()
    }
  })

  const REFUSED: readonly (readonly [string, Partial<RedisSettings>])[] = [
    ['without our certificate', { caFile: files.caFile }],
    ['for another name', { ...files, serverName: 'other.test' }],
    ['with a CA that did not sign theirs', { ...files, caFile: others.caFile }],
    ['with the CAs of the system', { certificateFile: files.certificateFile, privateKeyFile: files.privateKeyFile }],
  ]
  it.each(REFUSED.flatMap(([why, proof]) => Object.keys(servers).map((name) => [name, why, proof] as const)))(
    '%s: nothing works %s',
    async (name, _why, proof) => {
      const { connection, close, isArmed, recorder } = opened(servers[name]!(), proof)
      try {
        await until(() => recorder.lines.some((line) => line.includes('connection to the store failed')))
        await systemClock.sleep(millis(100))
        expect([connection.reachable(), isArmed()]).toEqual([false, false])
        expect(await connection.call('get', (client) => client.get('k'))).toBe('unavailable')
      } finally {
        await close()
      }
    },
  )

  it('refuses to start without a file it was told to verify by', () => {
    expect(() => opened({ url: one.url }, { caFile: join(dir, 'absent') })).toThrow(/^session\.store\.redis\.ca_file: .* cannot be read/)
  })
})
