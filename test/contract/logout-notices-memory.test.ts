import { logoutNoticesContract } from './logout-notices.ts'
import { memoryWorld } from './session-store-kit.ts'

logoutNoticesContract('memory', memoryWorld)
