import * as z from 'zod'
import { filePath, flag, plainText, setting, text } from './setting.ts'

/** Userinfo is taken out by build-redis.ts; whether a literal password may stand here is checked on the source text (check-source.ts). */
const redisUrl = text<URL>('a URL such as rediss://redis:6379', (value) => {
  const url = URL.parse(value)
  if (!url || !/^rediss?:$/.test(url.protocol) || url.hostname === '')
    return { code: 'config.value-invalid', reason: 'expected a URL such as rediss://redis:6379' }
  if (!/^\/?\d{0,4}$/.test(url.pathname) || value.includes('?') || value.includes('#'))
    return { code: 'config.value-invalid', reason: 'the URL has more than host, port and database number' }
  return { ok: url }
})

export interface Address {
  readonly host: string
  readonly port: number
}

/** Docker and Kubernetes allow names with an underscore. */
const address = text<Address>('a host and port such as redis-1:6379', (value) => {
  const [, host, digits] = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253}):(\d{1,5})$/.exec(value) ?? []
  const port = Number(digits)
  return host !== undefined && port > 0 && port < 65_536
    ? { ok: { host: host.replace(/^\[|\]$/g, ''), port } }
    : { code: 'config.value-invalid', reason: 'expected a host and a port', fix: 'Write `redis-1:6379`.' }
})

const sentinel = z.strictObject({
  name: setting(plainText('the name of a primary', 128), { doc: 'Name of the primary, as in `sentinel monitor`.', example: 'mymaster' }),
  nodes: setting(z.array(address).min(1).max(16), {
    doc: 'All sentinels, as `host:port`; others that they tell of are not asked.',
    example: '[sentinel-1:26379, sentinel-2:26379]',
  }),
  username: setting(plainText('an ACL user').optional(), { doc: 'ACL user at the sentinels.' }),
  password_file: setting(filePath().optional(), { doc: 'File that holds the password at the sentinels.' }),
})

const cluster = z.strictObject({
  nodes: setting(z.array(address).min(1).max(16), {
    doc: 'Some nodes, as `host:port`; they tell of the others.',
    example: '[redis-1:6379, redis-2:6379]',
  }),
})

export const redisSettings = z.strictObject({
  url: setting(redisUrl.optional(), {
    doc: 'One server: `rediss://host:port[/database]`; `redis://` without TLS.',
    example: 'rediss://redis:6379',
  }),
  sentinel: setting(sentinel.optional(), { doc: 'A primary and its replicas behind sentinels.' }),
  cluster: setting(cluster.optional(), { doc: 'A Redis Cluster.' }),
  tls: setting(flag().optional(), { doc: 'With sentinel or cluster: TLS to all of them. `true` unless it says `false`.' }),
  username: setting(plainText('an ACL user').optional(), { doc: 'ACL user.' }),
  password: setting(plainText('a reference to the password', 4096).optional(), {
    doc: 'The password, as a reference only.',
    secret: true,
    example: '${env:REDIS_PASSWORD}',
  }),
  password_file: setting(filePath().optional(), {
    doc: 'File that holds the password. Watched: connections that stand are told a new one.',
    reload: 'live',
  }),
  ca_file: setting(filePath().optional(), {
    doc: 'PEM bundle to verify Redis with. Watched: holds for the next connection.',
    reload: 'live',
  }),
  certificate_file: setting(filePath().optional(), {
    doc: 'PEM certificate that the gateway proves itself with in TLS. Watched: used by the next connection.',
    reload: 'live',
  }),
  private_key_file: setting(filePath().optional(), { doc: 'PEM key of that certificate.', reload: 'live' }),
  server_name: setting(plainText('a host name').optional(), {
    doc: 'Name to verify in the certificates of all servers, where it is not the host they are reached by.',
  }),
  key_prefix: setting(
    text<string>('a short name', (value) =>
      /^[a-z0-9][a-z0-9_.-]{0,31}$/.test(value)
        ? { ok: value }
        : { code: 'config.value-invalid', reason: 'expected up to 32 of a-z, 0-9, dot, hyphen and underscore' },
    ).prefault('sallyport'),
    { doc: 'In front of every Redis key.' },
  ),
})
