import * as z from 'zod'
import { bytes, count, duration, filePath, plainText, setting } from './setting.ts'
import { redisSettings } from './settings-redis.ts'

const storeSettings = z.union([
  z.literal('memory'),
  z.strictObject({
    redis: setting(redisSettings, { doc: 'Redis (6.2 or newer) or Valkey: exactly one of `url`, `sentinel`, `cluster`.' }),
    grace: setting(duration(0, 300_000).prefault('15s'), {
      doc: 'While Redis is away, sessions validated within this time are still served from memory. 0: none are.',
    }),
  }),
])

export const sessionSettings = z.strictObject({
  keys_dir: setting(filePath().optional(), {
    doc: 'Folder of the sealing keys, the same on all replicas; made by `sallyport keys rotate`. Needed with Redis; with `memory`, absent means keys of this process only. Watched.',
    reload: 'live',
  }),
  keys_settle: setting(duration(0, 86_400_000).prefault('5m'), {
    doc: 'A new key only opens until it has been present this long: replicas see files at different times.',
  }),
  idle_timeout: setting(duration(1000, 31 * 86_400_000).prefault('1h'), {
    doc: 'A session with no proxied request for this long ends. ASVS 5.0 §7.3.1 asks you to write down why you chose the value.',
  }),
  absolute_timeout: setting(duration(1000, 31 * 86_400_000).prefault('10h'), {
    doc: 'A session ends this long after login, however much it is used.',
  }),
  recheck: setting(duration(1000, 86_400_000).prefault('1h'), {
    doc: 'A session in use must have refreshed at the provider within this time, on application routes too: so a disabled user loses them.',
  }),
  recheck_grace: setting(duration(0, 86_400_000).prefault('1h'), {
    doc: 'While the provider is away, sessions are served this much longer, then 503.',
  }),
  claims: setting(z.array(plainText('a claim name', 128)).max(64).prefault(['sub', 'name', 'preferred_username', 'email']), {
    doc: 'Claims of the ID token that the frontend may read at `GET /bff/user`.',
  }),
  store: setting(storeSettings.prefault('memory'), { doc: 'Where sessions live: `memory` for one process and development, or `redis`.' }),
  l1: setting(
    z
      .strictObject({
        entries_max: setting(count(0, 10_000_000).prefault(10_000), { doc: 'Opened sessions held in memory.' }),
        bytes_max: setting(bytes(0).prefault('64MiB'), { doc: 'Their size together, about.' }),
      })
      .prefault({}),
    { doc: 'Opened sessions kept in this process, so that a hot request asks nobody.' },
  ),
})
