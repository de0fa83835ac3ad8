import { afterAll, beforeAll, expect, test } from "bun:test";
