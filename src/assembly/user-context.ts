import type { Settings } from '../config/settings.ts'
import { ephemeralKeyring } from '../crypto/keyring.ts'
import { openKeyringFiles } from '../crypto/keyring-file.ts'
import type { UserContextKeys } from '../crypto/user-context.ts'
import { createUserContextKeys } from '../crypto/user-context.ts'
import type { Log } from '../kernel/ports.ts'
import type { Clock } from '../kernel/time.ts'
import type { FileWatch } from '../kernel/file-watch.ts'

/** The keys of signed user contexts; undefined where no route asks for any. @throws KeyringError as for the sealing keys */
export const openUserContext = async (
  { userContext, routes }: Pick<Settings, 'userContext' | 'routes'>,
  log: Log,
  clock: Clock,
  watch: FileWatch,
): Promise<UserContextKeys | undefined> => {
  if (!routes.some((route) => route.userContext !== undefined)) return undefined
  const { keysDir, keysSettleMs } = userContext
  if (keysDir === undefined) return createUserContextKeys(ephemeralKeyring(clock.now()))
  const setting = 'user_context.keys_dir'
  return createUserContextKeys(
    await openKeyringFiles({ dir: keysDir, settleMs: keysSettleMs, clock, watch, log: saying(log, setting), setting }),
  )
}

/** Two folders of keys, one watcher: the lines say which is meant. */
const saying = (log: Log, mode: string): Log => ({
  debug: (facts, message) => log.debug({ mode, ...facts }, message),
  info: (facts, message) => log.info({ mode, ...facts }, message),
  warn: (facts, message) => log.warn({ mode, ...facts }, message),
  error: (facts, message) => log.error({ mode, ...facts }, message),
})
