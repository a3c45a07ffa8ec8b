import * as z from 'zod'
import { duration, filePath, flag, plainText, scopeName, setting } from './setting.ts'

/** `provider.bearer` */
export const bearerSettings = z
  .strictObject({
    audiences: setting(z.array(plainText('an audience', 512)).max(16).prefault([]), {
      doc: 'The gateway’s own names as an API: an access token must be for one of them. Needed by routes with `callers: [bearer]`.',
      example: '[api://shop-gateway]',
      since: '0.2',
    }),
    scopes: setting(z.array(scopeName()).max(64).prefault([]), {
      doc: 'What callers ask for to reach this gateway; told in its metadata (RFC 9728), checked by `allow` rules only.',
      since: '0.2',
    }),
    require_type: setting(flag().optional(), {
      doc: 'Takes only access tokens of `typ: at+jwt` (RFC 9068). On for providers that send it (`profile: generic`), otherwise off.',
      since: '0.2',
    }),
  })
  .prefault({})

/** `user_context` */
export const userContextSettings = z
  .strictObject({
    keys_dir: setting(filePath().optional(), {
      doc: 'Folder of the signing keys, the same on all replicas; made by `sallyport keys rotate --dir`. Another one than `session.keys_dir`. Absent with the memory store: keys of this process. Watched.',
      reload: 'live',
      since: '0.2',
    }),
    keys_settle: setting(duration(0, 86_400_000).prefault('5m'), {
      doc: 'A new key is only published until it has been present this long: upstreams keep the key set for a while.',
      since: '0.2',
    }),
    claims: setting(z.array(plainText('a claim name', 128)).max(64).prefault([]), {
      doc: 'Claims of the user that go along, beside `sub` and `tid`.',
      example: '[email, roles]',
      since: '0.2',
    }),
  })
  .prefault({})
