import * as z from 'zod'
import { rate, setting } from './setting.ts'

export const loginSettings = z.strictObject({
  rate: setting(
    z
      .strictObject({
        per_address: setting(rate().prefault('60/m'), {
          doc: 'Sign-ins that one address may start: so many at once, and evenly so many again. An IPv6 address counts with its whole /64. Many people may share one address; behind an ingress, `listen.trusted_proxies` tells them apart.',
          example: '60/m',
        }),
        global: setting(rate().prefault('600/m'), { doc: 'Sign-ins that all together may start at one replica.', example: '600/m' }),
      })
      .prefault({}),
    {
      doc: 'How many sign-ins may be started; beyond it 429 with `Retry-After`, before anything is made and before the provider is asked. `off`: no limit.',
    },
  ),
})
