import { sessionDirectoryContract } from './session-directory.ts'
import { memoryWorld } from './session-store-kit.ts'

sessionDirectoryContract('memory', memoryWorld)
