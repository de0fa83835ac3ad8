import { expect, test } from "bun:test";
import { RecentMap, ScopeCache } from "../../../../runtime/catalog/scopes.ts";

test("a scope is made once and lower-cased", () => {
  const scopes = new ScopeCache();
  const scope = scopes.of("Acme", "iOS");
  expect([scope.tenant, scope.namespace]).toEqual(["acme", "ios"]);
  expect(scopes.of("ACME", "ios")).toBe(scope);
  expect(scopes.of("acme", "")).not.toBe(scope);
});

test("tenant and namespace cannot run into each other", () => {
  const scopes = new ScopeCache();
  expect(scopes.of("ab", "c").hashKey).not.toBe(scopes.of("a", "bc").hashKey);
});

test("a recent map stays within its bound and keeps what is asked for", () => {
  const recent = new RecentMap<number>(100);
  recent.set("kept", -1);
  for (let i = 0; i < 10_000; i++) {
    recent.set(`key${i}`, i);
    expect(recent.get("kept")).toBe(-1);
    expect(recent.size).toBeLessThanOrEqual(100);
  }
  expect(recent.get("key0")).toBeUndefined();
  expect(recent.get("key9999")).toBe(9_999);
});
