;; The canonical guest, as no compiler wrote it: what the folders `orders-…` of `examples/guests` say,
;; said by hand. An attribute is 24 bytes: the key's address and length, a type and a length, a value
;; (docs/ABI.md).
(module
  (import "observe:guest@2" "interest" (func $interest (result i32)))
  (import "observe:guest@2" "span-begin"
    (func $span-begin (param i32 i32 i32 i32 i32) (result i32)))
  (import "observe:guest@2" "span-end" (func $span-end (param i32)))
  (import "observe:guest@2" "span-open"
    (func $span-open (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "observe:guest@2" "span-enter" (func $span-enter (param i32)))
  (import "observe:guest@2" "span-exit" (func $span-exit (param i32)))
  (import "observe:guest@2" "span-close" (func $span-close (param i32)))
  (import "observe:guest@2" "span-attributes" (func $span-attributes (param i32 i32 i32)))
  (import "observe:guest@2" "span-event" (func $span-event (param i32 i32 i32 i32 i32)))
  (import "observe:guest@2" "span-status" (func $span-status (param i32 i32 i32 i32)))
  (import "observe:guest@2" "span-link" (func $span-link (param i32 i32 i32 i32 i32)))
  (import "observe:guest@2" "log" (func $log (param i32 i32 i32 i32 i32 i32)))
  (import "observe:guest@2" "instrument"
    (func $instrument (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "observe:guest@2" "record-i64" (func $record-i64 (param i32 i64 i32 i32)))
  (import "observe:guest@2" "record-f64" (func $record-f64 (param i32 f64 i32 i32)))
  (import "observe:guest@2" "context" (func $context (param i32 i32) (result i32)))
  (import "observe:guest@2" "baggage" (func $baggage (param i32 i32) (result i32)))
  (import "observe:guest@2" "submit" (func $submit (param i32 i32)))
  (memory (export "memory") 1)

  (data (i32.const 16) "POST /orders")
  (data (i32.const 32) "order.id")
  (data (i32.const 48) "customer")
  (data (i32.const 64) "ada")
  (data (i32.const 80) "express")
  (data (i32.const 96) "discount")
  (data (i32.const 112) "receipt")
  (data (i32.const 128) "items")
  (data (i32.const 144) "tea")
  (data (i32.const 160) "mug")
  (data (i32.const 176) "gifts")
  (data (i32.const 192) "quantities")
  (data (i32.const 208) "weights")
  (data (i32.const 224) "order accepted")
  (data (i32.const 240) "validated")
  (data (i32.const 256) "rules")
  (data (i32.const 272) "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
  (data (i32.const 336) "why")
  (data (i32.const 352) "retry")
  (data (i32.const 368) "traceparent")
  (data (i32.const 384) "baggage")
  (data (i32.const 400) "add up")
  (data (i32.const 416) "charge")
  (data (i32.const 432) "card declined")
  (data (i32.const 448) "attempt")
  (data (i32.const 464) "left open")
  (data (i32.const 480) "after")
  (data (i32.const 496) "delivery")
  (data (i32.const 512) "parcel")
  (data (i32.const 528) "pack")
  (data (i32.const 544) "paid")
  (data (i32.const 560) "orders")
  (data (i32.const 576) "{order}")
  (data (i32.const 592) "orders taken")
  (data (i32.const 608) "carts.open")
  (data (i32.const 624) "stock")
  (data (i32.const 640) "price")
  (data (i32.const 656) "EUR")
  (data (i32.const 672) "currency")
  (data (i32.const 688) "\00\ff\10")  ;; the receipt
  (data (i32.const 704) "\90\00\00\00\03\00\00\00" "\a0\00\00\00\03\00\00\00")  ;; tea, mug
  (data (i32.const 720) "\01\00")  ;; true, false
  (data (i32.const 736) "\01\00\00\00\00\00\00\00" "\02\00\00\00\00\00\00\00")  ;; 1, 2
  (data (i32.const 752) "\00\00\00\00\00\00\e0\3f" "\00\00\00\00\00\00\f8\3f")  ;; 0.5, 1.5
  (data (i32.const 768) "\20\00\00\00\08\00\00\00" "\02\00\00\00\00\00\00\00" "\2a\00\00\00\00\00\00\00")  ;; order.id
  (data (i32.const 792) "\30\00\00\00\08\00\00\00" "\00\00\00\00\03\00\00\00" "\40\00\00\00\00\00\00\00")  ;; customer
  (data (i32.const 816) "\50\00\00\00\07\00\00\00" "\01\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00")  ;; express
  (data (i32.const 840) "\60\00\00\00\08\00\00\00" "\03\00\00\00\00\00\00\00" "\00\00\00\00\00\00\d0\3f")  ;; discount
  (data (i32.const 864) "\70\00\00\00\07\00\00\00" "\04\00\00\00\03\00\00\00" "\b0\02\00\00\00\00\00\00")  ;; receipt
  (data (i32.const 888) "\80\00\00\00\05\00\00\00" "\05\00\00\00\02\00\00\00" "\c0\02\00\00\00\00\00\00")  ;; items
  (data (i32.const 912) "\b0\00\00\00\05\00\00\00" "\06\00\00\00\02\00\00\00" "\d0\02\00\00\00\00\00\00")  ;; gifts
  (data (i32.const 936) "\c0\00\00\00\0a\00\00\00" "\07\00\00\00\02\00\00\00" "\e0\02\00\00\00\00\00\00")  ;; quantities
  (data (i32.const 960) "\d0\00\00\00\07\00\00\00" "\08\00\00\00\02\00\00\00" "\f0\02\00\00\00\00\00\00")  ;; weights
  (data (i32.const 992) "\20\00\00\00\08\00\00\00" "\02\00\00\00\00\00\00\00" "\2a\00\00\00\00\00\00\00")  ;; order.id
  (data (i32.const 1024) "\00\01\00\00\05\00\00\00" "\02\00\00\00\00\00\00\00" "\03\00\00\00\00\00\00\00")  ;; rules
  (data (i32.const 1056) "\50\01\00\00\03\00\00\00" "\00\00\00\00\05\00\00\00" "\60\01\00\00\00\00\00\00")  ;; why
  (data (i32.const 1088) "\70\01\00\00\0b\00\00\00" "\00\00\00\00\00\00\00\00" "\00\10\00\00\00\00\00\00")  ;; traceparent
  (data (i32.const 1112) "\80\01\00\00\07\00\00\00" "\00\00\00\00\00\00\00\00" "\40\10\00\00\00\00\00\00")  ;; baggage
  (data (i32.const 1136) "\c0\01\00\00\07\00\00\00" "\02\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00")  ;; attempt
  (data (i32.const 1168) "\00\02\00\00\06\00\00\00" "\02\00\00\00\00\00\00\00" "\07\00\00\00\00\00\00\00")  ;; parcel
  (data (i32.const 1200) "\20\02\00\00\04\00\00\00" "\01\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00")  ;; paid
  (data (i32.const 1232) "\50\00\00\00\07\00\00\00" "\01\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00")  ;; express
  (data (i32.const 1264) "\a0\02\00\00\08\00\00\00" "\00\00\00\00\03\00\00\00" "\90\02\00\00\00\00\00\00")  ;; currency
  (data (i32.const 1296) "\05\00\00\00" "\00\00\00\00" "\00\00\00\00\00\00\00\00" "\f0\04\00\00\01\00\00\00" "\00\00\00\00\00\00\34\40")  ;; a price in a batch

  (func (export "checkout") (param $items i32) (result i32)
    (local $order i32) (local $span i32) (local $item i32)
    ;; A host that has this version answers, whatever it wants.
    (if (i32.eqz (call $interest)) (then (unreachable)))
    (local.set $order (call $span-begin (i32.const 2) (i32.const 16) (i32.const 12)
      (i32.const 768) (i32.const 9)))
    (call $log (i32.const 0x7fffffff) (i32.const 9) (i32.const 224) (i32.const 14)
      (i32.const 992) (i32.const 1))
    (call $span-event (local.get $order) (i32.const 240) (i32.const 9) (i32.const 1024) (i32.const 1))
    (call $span-link (local.get $order)
      (i32.const 272) (i32.const 55) (i32.const 1056) (i32.const 1))
    ;; What an outgoing request would carry; only the lengths are not known before.
    (i32.store (i32.const 1100) (call $context (i32.const 4096) (i32.const 64)))
    (i32.store (i32.const 1124) (call $baggage (i32.const 4160) (i32.const 8192)))
    (call $span-attributes (local.get $order) (i32.const 1088) (i32.const 2))
    (local.set $span (call $span-begin (i32.const 1) (i32.const 400) (i32.const 6) (i32.const 0) (i32.const 0)))
    (block $done
      (loop $more
        (br_if $done (i32.ge_s (local.get $item) (local.get $items)))
        (drop (call $price (local.get $item)))
        (local.set $item (i32.add (local.get $item) (i32.const 1)))
        (br $more)))
    (call $span-end (local.get $span))
    (call $charge (i32.const 1))
    (call $forgetful (i32.const 1))
    (call $span-end (call $span-begin (i32.const 1) (i32.const 480) (i32.const 5) (i32.const 0) (i32.const 0)))
    (call $deliver)
    (call $span-attributes (local.get $order) (i32.const 1200) (i32.const 1))
    (call $measure)
    (call $span-end (local.get $order))
    (i32.add (local.get $items) (i32.const 5)))

  ;; A price that takes a while to find.
  (func $price (param $item i32) (result i32)
    (local $n i32)
    (loop $more
      (local.set $item (i32.xor (local.get $item) (local.get $n)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $n) (i32.const 300))))
    (local.get $item))

  ;; Leaves early, with its span open.
  (func $charge (param $declined i32)
    (local $span i32)
    (local.set $span (call $span-begin (i32.const 3) (i32.const 416) (i32.const 6) (i32.const 0) (i32.const 0)))
    (if (local.get $declined)
      (then
        (call $span-status (local.get $span) (i32.const 2) (i32.const 432) (i32.const 13))
        (call $log (local.get $span) (i32.const 17) (i32.const 432) (i32.const 13)
          (i32.const 1136) (i32.const 1))
        (return)))
    (call $span-end (local.get $span)))

  ;; Does not end its span, but for once in a while: one that never does is taken for a wrapper.
  (func $forgetful (param $forgets i32)
    (local $span i32)
    (local.set $span (call $span-begin (i32.const 1) (i32.const 464) (i32.const 9) (i32.const 0) (i32.const 0)))
    (br_if 0 (local.get $forgets))
    (call $span-end (local.get $span)))

  (func $deliver
    (local $delivery i32) (local $pack i32)
    (local.set $delivery (call $span-open (i32.const 0x7fffffff) (i32.const 4) (i32.const 496) (i32.const 8)
      (i32.const 1168) (i32.const 1)))
    (call $span-enter (local.get $delivery))
    (local.set $pack (call $span-begin (i32.const 1) (i32.const 528) (i32.const 4) (i32.const 0) (i32.const 0)))
    (call $span-end (local.get $pack))
    (call $span-exit (local.get $delivery))
    (call $span-close (local.get $delivery)))

  (func $measure
    (local $orders i32) (local $price i32)
    (local.set $orders (call $instrument (i32.const 1) (i32.const 560) (i32.const 6)
      (i32.const 576) (i32.const 7) (i32.const 592) (i32.const 12)))
    (call $record-i64 (local.get $orders) (i64.const 1) (i32.const 1232) (i32.const 1))
    (call $record-i64 (local.get $orders) (i64.const 2) (i32.const 1232) (i32.const 1))
    (call $record-i64
      (call $instrument (i32.const 2) (i32.const 608) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (i64.const -1) (i32.const 0) (i32.const 0))
    (call $record-i64
      (call $instrument (i32.const 3) (i32.const 624) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
      (i64.const 7) (i32.const 0) (i32.const 0))
    (local.set $price (call $instrument (i32.const 4) (i32.const 640) (i32.const 5)
      (i32.const 656) (i32.const 3) (i32.const 0) (i32.const 0)))
    (call $record-f64 (local.get $price) (f64.const 9.5) (i32.const 1264) (i32.const 1))
    ;; The last in the form of a batch: which instrument is not known before.
    (i32.store (i32.const 1300) (local.get $price))
    (call $submit (i32.const 1296) (i32.const 1))))
