import { sessionStoreContract } from './session-store.ts'
import { memoryWorld } from './session-store-kit.ts'

sessionStoreContract('memory', memoryWorld)
