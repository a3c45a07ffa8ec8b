import * as z from 'zod'
import { filePath, setting } from './setting.ts'
import { userContextSettings } from './settings-callers.ts'
import { frontendSettings, pagesSettings } from './settings-frontend.ts'
import { basePath, listenSettings, publicUrl, shutdownSettings } from './settings-listen.ts'
import { loginSettings } from './settings-login.ts'
import { providerSettings } from './settings-provider.ts'
import { routesSettings } from './settings-routes.ts'
import { sessionSettings } from './settings-session.ts'

const telemetrySettings = z.strictObject({
  log: setting(
    z
      .strictObject({
        level: setting(z.enum(['debug', 'info', 'warn', 'error']).prefault('info'), { doc: 'Lines below this level are not written.' }),
      })
      .prefault({}),
    { doc: 'The log, on stdout.' },
  ),
  audit: setting(
    z
      .union([z.literal('stdout'), z.strictObject({ file: setting(filePath(), { doc: 'Appended to, one JSON line per event.' }) })])
      .prefault('stdout'),
    { doc: 'Where audit events go: `stdout` or a file.' },
  ),
})

/** The one schema. Everything that has a default may be left away; unknown keys are refused. */
export const settingsSchema = z.strictObject({
  public_url: publicUrl,
  base_path: basePath,
  listen: setting(listenSettings.prefault({}), { doc: 'Three listeners, apart from each other.' }),
  provider: setting(providerSettings, { doc: 'The OpenID Provider.' }),
  login: setting(loginSettings.prefault({}), { doc: 'How sign-ins are started.' }),
  session: setting(sessionSettings.prefault({}), { doc: 'Sessions: how long they live and where.' }),
  frontend: setting(frontendSettings.optional(), { doc: 'The pages, from a folder or from another server.' }),
  pages: setting(pagesSettings.prefault({}), { doc: 'The gateway’s own pages: errors, signed out, session ended.' }),
  user_context: setting(userContextSettings, {
    doc: 'What upstreams are told of users, signed, on routes with `user_context: signed`.',
    since: '0.2',
  }),
  routes: setting(routesSettings.prefault([]), { doc: 'The APIs, each with the decision as whom it is called.' }),
  telemetry: setting(telemetrySettings.prefault({}), { doc: 'Log and audit.' }),
  shutdown: setting(shutdownSettings.prefault({}), { doc: 'How the process stops.' }),
})

/** As parsed, keys as in the file. */
export type Parsed = z.output<typeof settingsSchema>
