import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createFileWatch } from '../../src/kernel/file-watch.ts'
import type { FileWatch } from '../../src/kernel/file-watch.ts'
import { millis, systemClock } from '../../src/kernel/time.ts'
import { openRedis } from '../../src/session/open-redis.ts'
import type { RedisServers, RedisSettings } from '../../src/session/settings-redis.ts'
import { PRIMARY_NAME, startSentinel } from '../harness/redis-fleet.ts'
import { type RedisServer, startRedisServer, type TlsFiles } from '../harness/redis-server.ts'
import { canStartRedis } from '../harness/redis.ts'
import { createMount } from '../harness/rotations/mount.ts'
import { selfSigned, type SelfSigned } from '../harness/self-signed.ts'
import { Recorder, until } from './session-store-kit.ts'

const SECRET = 'CANARY-sentinel-password'
const at = (port: number) => ({ host: '127.0.0.1', port })

describe.skipIf(!canStartRedis)('Redis over TLS, asking for a certificate', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-tls-'))
  const passwordFile = join(dir, 'password')
  writeFileSync(passwordFile, `${SECRET}\n`)
  /** Signed by nobody but itself, good for server and client, for `localhost` and 127.0.0.1. */
  const pairIn = (name: string): TlsFiles => {
    return pairOf(name, selfSigned({ kind: 'ec' }))
  }
  const pairOf = (name: string, { certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>): TlsFiles => {
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

  const opened = (servers: RedisServers, proof: Partial<RedisSettings>, seen: { recorder?: Recorder; watch?: FileWatch } = {}) => {
    const { recorder = new Recorder(), watch } = seen
    const settings = {
      ...servers,
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
      keyPrefix: 't',
      ...proof,
    }
    const { connection, channel } = openRedis(
      { settings, clock: systemClock, log: recorder.log, metrics: recorder.metrics, watch },
      't:events',
    )
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

  it('a certificate and authorities that are replaced are used by the next connection, and never by half', async () => {
    const program = inject('redisProgram')!
    const mount = createMount(join(dir, 'mount'))
    const [before, next] = [selfSigned({ kind: 'ec', subject: 'before' }), selfSigned({ kind: 'ec', subject: 'next' })]
    const put = (certificate: string, key: string, ca: string): void => mount.put({ 'tls.crt': certificate, 'tls.key': key, 'ca.crt': ca })
    const at = (name: string): string => join(mount.dir, name)
    put(before.certificate, before.key, before.certificate)
    const mine = { caFile: at('ca.crt'), certificateFile: at('tls.crt'), privateKeyFile: at('tls.key') }
    const server = await startRedisServer(program, { tls: pairOf('server', before), args: ['--appendonly', 'no'] })
    const recorder = new Recorder()
    const watch = createFileWatch({ clock: systemClock, log: recorder.log, everyMs: millis(60_000) })
    const { connection, close, isArmed } = opened({ url: server.url }, mine, { recorder, watch })
    try {
      await until(() => connection.reachable() && isArmed())
      // Half of what comes: the connection that stands and those that come go on with what was whole.
      put(next.certificate, before.key, next.certificate.slice(0, 200))
      await watch.lookAtAll()
      const admin = new Redis(server.port, '127.0.0.1', { tls: { ca: before.certificate, cert: before.certificate, key: before.key } })
      admin.on('error', () => {})
      const received = async (): Promise<number> => Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1])
      const reconnected = async (): Promise<void> => {
        const had = await received()
        await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
        await until(
          async () => (await received()) >= had + 2 && isArmed() && (await connection.call('ping', (client) => client.ping())) === 'PONG',
        )
      }
      await reconnected()
      expect(recorder.lines.filter((line) => line.includes('not usable'))).toHaveLength(2)

      // The server takes the next pair, and nobody with the one before: first both authorities here, then the swap there.
      put(next.certificate, next.key, `${before.certificate}${next.certificate}`)
      await watch.lookAtAll()
      const { caFile, certificateFile, privateKeyFile } = pairOf('server-next', next)
      await admin.config('SET', 'tls-cert-file', certificateFile, 'tls-key-file', privateKeyFile, 'tls-ca-cert-file', caFile)
      // Standing connections went through all of it.
      expect(await connection.call('ping', (client) => client.ping())).toBe('PONG')
      await reconnected()
      expect(recorder.lines.filter((line) => line.includes('replaced'))).toHaveLength(2)
      admin.disconnect()
    } finally {
      await watch.stop()
      await close()
      await server.stop()
    }
  })

  it('refuses to start without a file it was told to verify by', () => {
    expect(() => opened({ url: one.url }, { caFile: join(dir, 'absent') })).toThrow(/^session\.store\.redis\.ca_file: .* cannot be read/)
  })
})
