import { sessionEndsContract } from './session-ends.ts'
import { memoryWorld } from './session-store-kit.ts'

sessionEndsContract('memory', memoryWorld)
