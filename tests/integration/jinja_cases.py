"""Templates that show one feature each, for jinja_oracle.py; long lines: one a template."""

CONTEXT = {
    "a": 7, "b": -3, "z": 0, "f": 2.5, "g": -0.125, "big": 123456789012, "t": True, "n": None,
    "s": "Hello World", "e": "", "u": "Größe 世界 🎉 ñandú", "ml": "one\n two\n\nthree  \n",
    "html": "<a href=\"x\">Tom & 'Jerry'</a>", "w": "  padded\t\n", "num": "42.9", "hex": "0x1F",
    "xs": [3, 1, 2], "ys": ["b", "A", "c", "a"], "mixed": [1, "a", None, 2.5, True],
    "nested": [[1, 2], [3, [4, 5]]], "d": {"k": "v", "items": 5, "x": {"y": [1, {"z": "deep"}]}},
    "users": [
        {"name": "Ann", "age": 30, "tags": ["x"], "city": {"name": "Rome"}},
        {"name": "bob", "age": 25, "tags": [], "city": {"name": "Oslo"}},
        {"name": "Cid", "age": 30, "tags": ["y", "z"], "city": {"name": "rome"}},
    ],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}, {"v": 5, "c": []}],
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
                 {"role": "assistant", "content": None, "tool_calls": [
                     {"function": {"name": "f", "arguments": {"q": "ü", "n": 1.0, "l": [1, None]}}}]}],
}

# Expressions, one per line; each is printed.
EXPRESSIONS = r"""
1 + 2 * 3 - 4 / 2
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
(-2) ** 2
2 ** 0.5
10 / 4
6 / 3
1e3
1.5e-7
1e16
123456789.123456789
0.1 + 0.2
1_000
0x1f
0b101
0o17
1 / 0
1 // 0
1 % 0
1.0 / 0
'a' + 'b'
'a' + 1
'a' * 3
3 * 'ab'
'a' * -1
[1] + [2]
(1,) + (2,)
[1] * 2
[1] + (2,)
'a' ~ 1 ~ none ~ true ~ 1.5
1 ~ 2 + 3
a ~ b * 2
not a
not not e
a and b
e or 'x'
z and 1/0
a or 1/0
1 < 2 < 3
1 < 3 < 2
3 > 2 >= 2
1 == 1.0
true == 1
'1' == 1
none == none
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
[1, 'a'] < [2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
{'a': 1} < {'b': 2}
1 in xs
9 not in xs
'k' in d
'ell' in s
1 in s
'' in ''
1 in 5
not 1 in xs
2 in range(5)
2.0 in range(5)
a if t else b
a if z
(a if z) is defined
a if z else b if z else 'c'
xs[0]
xs[-1]
xs[9]
xs[9] is defined
xs['a']
xs[1:]
xs[:-1]
xs[::-1]
xs[::2]
xs[5:1:-1]
xs[-100:100]
s[0]
s[-1]
s[1:5]
s[::-1]
s[::3]
s[-3:]
u[3]
u[-1]
u[::2]
u[::-1]
u[2:9]
u[6:]
(1, 2, 3)[1:]
range(10)[2:8:2]
range(10)[::-1]|list
xs[::0]
xs['a':]
d['k']
d.k
d['items']
d.x.y[1].z
d.x['y'][0]
d.missing
d.missing.deeper
d['missing']
d['missing']['deeper']
d[0]
d[[1]]
n.foo
n.foo.bar
n['foo']
n[0]
a.foo
a.real
f.imag
a.bit_length()
undefined_thing
undefined_thing.x
undefined_thing[0]
undefined_thing + 1
1 + undefined_thing
-undefined_thing
undefined_thing ~ 'x'
undefined_thing == other_undefined
undefined_thing == none
undefined_thing < 1
undefined_thing()
'x' in undefined_thing
undefined_thing in ['x']
[undefined_thing]
{'a': undefined_thing}
undefined_thing|length
undefined_thing|list
undefined_thing|default('dflt')
undefined_thing|d
e|default('x')
e|default('x', true)
n|default('x', boolean=true)
undefined_thing is iterable
undefined_thing is sequence
undefined_thing is callable
undefined_thing|join
undefined_thing|tojson
undefined_thing|int
undefined_thing|upper
undefined_thing|first
undefined_thing|last
undefined_thing|reverse|list
undefined_thing|sort
undefined_thing|items|list
none|items|list
[]
()
(1,)
(1, 2)
{}
{'a': 1, 'b': [1, (2,)], 3: none, true: 'x', 2.5: 0}
{1: 'a', 1.0: 'b', true: 'c'}
{[1]: 2}
{(1, 2): 3}
['it\'s', "say \"hi\"", 'both \' and "', '\n\t\\', '\x00\x7f\xa0', 'é世🎉', '\u200b']
'\u00e9\x41\101\U0001F600'
'\q\é\世'
'a' 'b' "c"
"tab\there"
'line\
continued'
true
True
none
None
false
1.0
-0.0
100000000000000000000.0
1e-5
0.0001
12345.678
range(5)
range(1, 10, 3)
range(5)|list
range(5, 0, -2)|list
range(0)
range(100001)
range(1, 2, 0)
range('a')
range(3) == range(0, 3)
dict(a=1, b=2)
dict([('a', 1), ['b', 2]])
dict({'a': 1}, b=3)
dict(1)
d.keys()
d.values()|list
d.x.items()
d.x.items()|list
d.get('k')
d.get('nope')
d.get('nope', 'dflt')
d.get()
d.pop('k')
d.update({'a': 1})
d.clear
d.clear is defined
d.copy()
dict.fromkeys is defined
xs.append(1)
xs.index(1)
xs.index(9)
xs.count(3)
xs.copy()
xs.sort()
xs.reverse is defined
[1, 2, 3].pop()
[1, 2, 3].pop(0)
[].pop()
(1, 2, 1).count(1)
(1, 2, 1).index(2)
s.upper()
s.lower()
s.title()
s.swapcase()
s.capitalize()
u.upper()
u.title()
u.capitalize()
u.lower()
'ß'.upper()
'ǆ'.title()
'ﬁx'.capitalize()
'ΑΣ'.lower()
'ΑΣ Β'.lower()
'İ'.lower()
'STRASSE'.casefold()
'straße'.casefold()
"they're bill's".title()
'hello wORLD-foo'.title()
w.strip()
w.lstrip()
w.rstrip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('yx')
'abc'.strip('')
'abc'.strip(none)
'abc'.strip(1)
s.split()
s.split('o')
s.split('o', 1)
s.split(maxsplit=1)
s.split(sep='l')
'a,b,,c'.split(',')
'a,b,,c'.rsplit(',', 1)
' a  b '.split()
' a  b '.split(' ')
' a  b  c '.split(none, 1)
' a  b  c '.rsplit(none, 1)
'abc'.split('')
'a--b--c'.rsplit('--')
ml.splitlines()
ml.splitlines(true)
ml.splitlines(0)
ml.splitlines('x')
ml.splitlines(undefined_thing)
'a\r\nb\rc\x0bd\u2028e'.splitlines()
''.splitlines()
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith('ello', 1)
s.endswith('ld')
s.endswith('')
s.endswith(1)
s.replace('l', 'L')
s.replace('l', 'L', 2)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
s.index('W')
s.index('zz')
u.find('世')
u.rfind('ñ')
u.index('🎉')
s.count('l')
s.count('')
s.count('l', 4)
u.count('')
'aaa'.count('aa')
s.join(['a', 'b'])
', '.join(ys)
', '.join(xs)
''.join('abc')
'-'.join(d)
'7'.zfill(3)
'-7'.zfill(4)
'+abc'.zfill(7)
'ab'.center(7, '*')
'abc'.center(8)
'ab'.center(5)
'abc'.center(6)
'ab'.ljust(5, '.')
'ab'.rjust(5)
'ab'.rjust(5, 'xy')
'a\tb\tc'.expandtabs(4)
'ab\tc'.expandtabs()
'prefix_x'.removeprefix('prefix_')
'x.txt'.removesuffix('.txt')
'x'.removesuffix('')
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('x')
'abc'.rpartition('x')
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
'三'.isnumeric()
'三'.isdigit()
'abc'.isalpha()
'世界'.isalpha()
'a1'.isalnum()
' \t\n'.isspace()
'\u00a0'.isspace()
''.isspace()
'ABC'.isupper()
'AbC'.isupper()
'A1'.isupper()
'1'.isupper()
'abc'.islower()
'Title Case'.istitle()
'Title case'.istitle()
'a_b1'.isidentifier()
'1a'.isidentifier()
'abc'.isascii()
'é'.isascii()
'a b'.isprintable()
'a\nb'.isprintable()
'{} {}'.format(1, 'x')
'{1} {0}'.format(1, 'x')
'{a} {b.c} {d[k]} {e[0]}'.format(a=1, b={'c': 2}, d={'k': 3}, e=[4])
'{0} {}'.format(1, 2)
'{'.format()
'}'.format()
'{{}}'.format()
'{:>8}|{:<8}|{:^8}|'.format('a', 'b', 'c')
'{:*^9}'.format('mid')
'{:05d}|{:+d}|{: d}|{:x}|{:X}|{:#x}|{:b}|{:#o}|{:c}'.format(42, 42, 42, 255, 255, 255, 5, 8, 65)
'{:,}|{:_}|{:,.2f}|{:012,d}'.format(1234567, 1234567, 1234567.891, 1234567)
'{:.2f}|{:e}|{:g}|{:%}|{:.1%}|{:10.3f}|{:<10.3f}|'.format(3.14159, 12345.678, 0.00001, 0.25, 0.125, 2.5, 2.5)
'{}|{:.3}|{:10}|{:.0f}'.format(1.5, 3.14159, 2.5, 2.5)
'{!r}|{!s}|{!r:>6}|{!a}'.format('x', 'y', 'z', 'é')
'{:{}}|{:{w}.{p}}'.format('a', 5, 3.14159, w=8, p=3)
'{:d}'.format('x')
'{:s}'.format(1)
'{:.2}'.format('abcdef')
'{:=5}'.format('a')
'{:5}|{:5}'.format(true, none)
'{:5}'.format([1])
'{}'.format([1, 'a'])
'{x}'.format_map({'x': 1})
'{:08.3f}|{:+.1e}|{:-^20}|{:é>5}'.format(-3.14159, 12345.0, 'centered', 'x')
'%s and %s' % ('a', 1)
'%s' % 'x'
'%s' % none
'%d%%' % 50
'%5d|%-5d|%05d|%+d' % (1, 2, 3, 4)
'%5.1f|%.3e|%g|%G' % (3.14159, 12345.678, 0.0001, 1e20)
'%x|%X|%o|%#x|%c|%c' % (255, 255, 8, 255, 65, 'z')
'%r|%10s|%-10s|%.2s' % ('q', 'w', 'e', 'rty')
'%(a)s-%(b)d' % {'a': 'x', 'b': 3}
'%s %s' % 'one'
'%s' % ('a', 'b')
'%d' % 'x'
'%d' % 3.99
'%*d' % (5, 42)
'%i %u' % (3, 4)
'%.3d' % 5
'%x' % 1.5
'%s' % [1, 2]
'%s' % (1,)
'abc' % ()
'abc' % {}
'%' % 1
'%y' % 1
'%5s%%' % 'é'
a is defined
nope is defined
a is not none
n is none
a is odd
a is even
a is divisibleby 7
a is divisibleby(2)
a is number
f is float
a is integer
t is boolean
t is integer
t is true
z is false
s is string
xs is sequence
d is mapping
d is sequence
xs is iterable
a is iterable
s is iterable
range is callable
s is callable
s is lower
'abc' is lower
'ABC' is upper
a is eq 7
a is equalto(7)
a is ne 7
a is lt 10
a is gt(10)
a is ge 7
a is le 6
a is lessthan 8
a is greaterthan 8
1 is in xs
1 is not in xs
a is sameas a
none is sameas none
1 is sameas true
xs is sameas xs
[] is sameas []
'upper' is filter
'nofilter' is filter
'odd' is test
'x' is escaped
('x'|safe) is escaped
undefined_thing is undefined
undefined_thing is none
a is undefined
'x' is odd
a is nosuchtest
a is defined and n is none or false
-5|abs
(-5)|abs
-2.5|abs
'a'|abs
true|abs
d|attr('k')
d|attr('items') is callable
s|attr('upper')
s|attr('nope')
xs|batch(2)|list
xs|batch(2, 'x')|list
xs|batch(0)|list
xs|slice(2)|list
xs|slice(2, 'x')|list
range(10)|slice(3)|map('list')|list
xs|slice(0)|list
'hello WORLD'|capitalize
u|capitalize
12|capitalize
'ab'|center(6)
'ab'|center
xs|count
d|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort(true)
{'b': 1, 'A': 2, 'c': 0}|dictsort(by='value')
{'b': 1, 'A': 2, 'c': 0}|dictsort(false, 'value', true)
{'b': 1}|dictsort(by='x')
html|e
html|escape|escape
html|forceescape
html|e|forceescape
html|safe
(html|e)[0:6]
[html|e]
('<a>'|safe) + '<b>'
'<b>' + ('<a>'|safe)
('<a>'|safe) ~ '<b>'
('%s'|safe) % '<x>'
('<a>'|e) * 2
('<a>'|safe).upper()
('{}'|safe).format('<x>')
(','|safe).join(['<a>', '<b>'])
0|filesizeformat
1|filesizeformat
999|filesizeformat
1000|filesizeformat
1024|filesizeformat(true)
123456789|filesizeformat
123456789|filesizeformat(binary=true)
1e30|filesizeformat
'1300'|filesizeformat
-5|filesizeformat
xs|first
[]|first
[]|first is defined
s|first
d|first
5|first
'3.5'|float
'abc'|float
'abc'|float(1.5)
'1e3'|float
'inf'|float
' 7 '|float
'1_0'|float
none|float
[]|float
'%s-%s'|format('a', 'b')
'%(x)s'|format(x=1)
'%s'|format('a', x=1)
users|groupby('age')
users|groupby('city.name')|map('first')|list
users|groupby('city.name', case_sensitive=true)|map(attribute='grouper')|list
users|groupby('nope', default='x')|map('first')|list
users|groupby('age')|map(attribute='list')|map('length')|list
(users|groupby('age'))[0].grouper
(users|groupby('age'))[0].list|length
ml|indent
ml|indent(2)
ml|indent(2, true)
ml|indent(2, true, true)
ml|indent('> ', blank=true)
ml|indent(width=1, first=true)
''|indent
'x'|indent(first=true)
5|indent
'42'|int
'42.7'|int
'abc'|int
'abc'|int(7)
'0x1F'|int
'0x1F'|int(base=16)
'1F'|int(0, 16)
'0b11'|int(0, 2)
'0o17'|int(base=0)
'077'|int(base=0)
' 12 '|int
'1_000'|int
'1__0'|int
'-5'|int
'--5'|int
'+5'|int
'z'|int(base=36)
3.99|int
-3.99|int
true|int
none|int
none|int(5)
'inf'|int
'nan'|int
[]|int
xs|join
xs|join(', ')
xs|join(d=' - ')
users|join(', ', attribute='name')
users|map(attribute='city.name')|join('|')
mixed|join(',')
s|join('-')
d|join(',')
5|join
[1, [2, 'x'], none]|join(1)
xs|last
s|last
[]|last
d|last
xs|map('abs')|last
xs|length
u|length
d|length
5|length
none|length
xs|map('abs')|length
s|list
d|list
u|list
range(3)|list
5|list
none|list
'ABC'|lower
5|lower
u|lower
d.x|items|list
xs|map('string')|list
ys|map('upper')|join
users|map(attribute='name')|list
users|map(attribute='nope')|list
users|map(attribute='nope', default='?')|list
users|map(attribute='tags')|map('first')|list
nested|map('first')|list
nested|map(attribute=1)|list
nested|map(attribute='0')|list
xs|map|list
xs|map('nofilter')|list
xs|map('round', 1, method='ceil')|list
xs|map('default', 3)|list
[]|map('nofilter')|list
xs|min
xs|max
[]|min
[]|max is defined
ys|min
ys|max
ys|min(case_sensitive=true)
users|max(attribute='age')
mixed|min
users|min(attribute='name')
d|pprint
users|pprint
'a long string that goes on and on, past the eighty columns that pprint has for each of its lines'|pprint
[s * 5, s * 6, {'k' * 30: 'v' * 60}]|pprint
(1,)|pprint
range(40)|list|pprint
xs|reject('odd')|list
xs|reject|list
users|rejectattr('tags')|map(attribute='name')|list
users|rejectattr('age', 'gt', 26)|map(attribute='name')|list
s|replace('l', 'L')
s|replace('l', 'L', 1)
s|replace('l')
12321|replace(2, 'x')
xs|reverse|list
s|reverse
u|reverse
d|reverse|list
5|reverse
xs|map('abs')|reverse
2.5|round
3.5|round
-2.5|round
2.675|round(2)
1234.5|round(-2)
1250|round(-2)
1350|round(-2)
2.1|round(0, 'ceil')
2.9|round(method='floor')
2.123|round(2, 'ceil')
7|round
7|round(1, 'ceil')
true|round
2.5|round(method='x')
'x'|round
0.5|round|int
1e300|round(2)
5.015|round(2)
xs|select('odd')|list
xs|select|list
mixed|select|list
xs|select('gt', 1)|list
xs|select('in', [1, 2])|list
xs|select('nosuch')|list
users|selectattr('tags')|map(attribute='name')|list
users|selectattr('age', 'eq', 30)|map(attribute='name')|list
users|selectattr('city.name', 'equalto', 'Oslo')|list|length
users|selectattr('nope', 'defined')|list
users|selectattr|list
(xs|select('odd')) and 'truthy'
([]|select) and 'truthy'
xs|sort
xs|sort(true)
ys|sort
ys|sort(case_sensitive=true)
ys|sort(reverse=true)
users|sort(attribute='age')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list
users|sort(attribute='age', reverse=true)|map(attribute='name')|list
mixed|sort
d|sort
'hello'|sort|join
5|string
none|string
xs|string
html|striptags
'<p>a  b</p>\n <!-- x > y --> c &lt;d&gt; &amp; &#65; &#x42;'|striptags
xs|sum
users|sum(attribute='age')
xs|sum(start=10)
nested|sum(start=[])
ys|sum
ys|sum(start='')
[]|sum
[0.1, 0.2]|sum
'hello world-foo (bar) [baz] {qux} <zot>'|title
u|title
"don't stop"|title
5|title
d|tojson
d|tojson(indent=2)
d|tojson(indent=0)
[]|tojson(indent=2)
d|tojson(separators=(',', ':'))
{'b': 1, 'a': 2}|tojson(sort_keys=true)
u|tojson
u|tojson(ensure_ascii=true)
'\x00\x1f\x7f"\\/\b\f\n\r\t'|tojson
'\x7f'|tojson(ensure_ascii=true)
[1.0, 1e100, -0.0, 1e-7, true, none]|tojson
{1: 2, none: 3, true: 4, 1.5: 6}|tojson
{(1,): 2}|tojson
range(3)|tojson
xs|map('abs')|tojson
(1, 2)|tojson
messages|tojson(indent=4)
d|tojson(indent='\t')
html|tojson
html|e|tojson
xs|tojson(indent=2, separators=(';', '='))
w|trim
'xxaxx'|trim('x')
5|trim
none|trim
'a long sentence that should be cut somewhere'|truncate(20)
'a long sentence that should be cut somewhere'|truncate(20, true)
'a long sentence that should be cut somewhere'|truncate(20, end='…')
'a long sentence that should be cut somewhere'|truncate(20, false, '...', 0)
'short'|truncate(3)
'shorter than this'|truncate(2)
u|truncate(8, true, '', 0)
'nospaceshereatallinthisstring'|truncate(10)
['a', 'A', 'b']|unique|list
['a', 'A', 'b']|unique(true)|list
users|unique(attribute='age')|map(attribute='name')|list
[1, 1.0, true, 2]|unique|list
[[1], [1]]|unique|list
'straße'|upper
5|upper
'a b/c?d=é&x'|urlencode
{'a': 1, 'b c': 'x/y'}|urlencode
[('a', 1), ('b', none)]|urlencode
5|urlencode
'hello world foo'|wordcount
u|wordcount
''|wordcount
'The quick brown fox jumps over the lazy dog'|wordwrap(10)
'The quick brown fox jumps over the lazy dog'|wordwrap(10, wrapstring='|')
'averyveryverylongword and short'|wordwrap(8)
'averyveryverylongword and short'|wordwrap(8, false)
'well-known state-of-the-art e-mail--dash'|wordwrap(9)
'well-known state-of-the-art'|wordwrap(9, break_on_hyphens=false)
ml|wordwrap(5)
'a  b   c    d'|wordwrap(3)
'x'|wordwrap(0)
{'class': 'a', 'id': none, 'x': '<'}|xmlattr
{'class': 'a'}|xmlattr(false)
{'a b': 1}|xmlattr
{}|xmlattr
5|nofilter
s|upper|lower|title
s|upper()
s|replace(old='l', new='x')
s|replace('l', 'x', new='y')
s|center(width=20)|trim|length
s|default(default_value='x')
s.upper().lower().title()
(s)|length + 1
s|length > 5 and 'long'
xs|length == 3
-a|abs
- a
+a
+'a'
-'a'
- -a
xs|map('abs')|list is sequence
[x for x in xs]
lambda
a.b.c.d
a..b
(1
1)
{'a': 1
[1, 2
'unterminated
a b
a = 1
1 2
@
a |
a is
a.
a[
a[]
a[1:2:3:4]
a(
a(1 2)
a(*1)
a(**1)
dict(**{'a': 1})
dict(*[[('a', 1)]])
dict(a=1, **{'a': 2})
'{}{}'.format(*[1, 2])
'{a}'.format(**{'a': 1})
f(a=1, a=2)
f(a=1, 2)
range(*[1, 4])|list
xs.0
xs.1
nested.1.1.0
d.x.y.1.z
1.5.real
''|length
"a" "b" ~ 'c'
1 if
1 if true else
namespace(a=1).a
namespace(a=1)
namespace({'a': 1}, b=2).b
namespace(a=1).b
namespace(a=1)['a']
namespace(1)
cycler('a', 'b').next()
cycler()
joiner()()
joiner('; ').sep
strftime_now('%d %b %Y')
strftime_now('%Y-%m-%dT%H:%M:%S %A %B %j %U %W %w %u %V %G %y %I %p %f %% %a %c %x %X %D %F %T %R %e %h %C %s')
strftime_now('%-d %-m %-I %z %Z|')
strftime_now('%q %E %O %Ey %5d %_d %^a %#p %k %l %P %g %r %010Y %+4Y %_5H %#Z %Ez %-f é%d%é %5 %')
strftime_now('a\x00b')
'&#2;|&#0;|&#128;|&#x9f;|&#xfffe;|&#65|&#x41g|&#xd800;|&#1114112;|&#99999999999999;|&#;|&#x;|&#13;|&'|striptags
strftime_now(1)
strftime_now()
raise_exception('boom ' ~ a)
raise_exception()
lipsum is callable
loop is defined
super is defined
caller is defined
xs.__class__
s.__len__()
s._private
d.__class__ is defined
''.__class__.__mro__
xs.__init__ is defined
namespace is callable
dict is callable
s.nope
s.nope()
s['upper']()
xs['append']
xs['index'](1)
d['keys']()|list
(none).x
1.x
1 .real
none is none is none
a is defined is true
a is not defined
a is not divisibleby 3
not a is defined
a is divisibleby 3 or true
a is in [7] and true
a in [7] is true
[1,2,3,]
(1,2,)
{'a':1,}
(,)
[,]
{,}
()|length
{}|length
[none, true, 1.0, 'x', (), {}]
""
''
'a' == "a"
xs == [3, 1, 2]
xs != [3, 1, 2]
'b' > 'a' > 'B'
'é' > 'z'
1 < 1.5 < 2
9007199254740993 == 9007199254740992.0
none < 1
[] < [1]
true + true
true * 3
true / 2
true ~ ''
not none
1 and 2 or 3
0 or none
'' and 1
1 // 0.3
5 % 0.3
-5 % 0.3
-5 // 0.3
1e308 * 10
0.1 * 3
1/3
2/3
100/3
1e22
1e21
123456789012345678
0.1 + 0.7
5e-324
1.7976931348623157e308
3.0 * 1.1
10 ** 18
10 ** 19
7 ** 0
0 ** 0
0.0 ** -1
2 ** 0.5 ** 2
(1, 2) * 2
'abc'[1:][0]
'abc'|reverse|upper
ys|map('lower')|sort|join('')
ys|map('lower')|unique|list|length
xs|sort|first
xs|sort|last
users[0].name
users[0]['tags'][0]
users[-1].tags[-1]
users[0].city.name|upper
messages[2].tool_calls[0].function.arguments
messages[2].tool_calls[0].function.arguments|tojson
messages[2].content is none
messages|map(attribute='role')|join(',')
messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|first
messages|selectattr('tool_calls', 'defined')|list|length
messages[1:]|length
messages[::-1][0].role
(messages|last).role
messages[0]['role'] == 'system' and messages[0].content
"%s"|format(d)
d|string|length
xs ~ ys
[1, 2] | join(', ') ~ '!'
'a,b'.split(',')[1]
('a,b'.split(','))|last
'</think>' in 'x</think>y'
'x</think>y'.split('</think>')[-1].lstrip('\n')
'x</think>y'.split('</think>')[0].rstrip('\n').split('<think>')[-1]
"\n".join(['a', 'b'])
'a\\nb'
'\''
"\""
'\u4e16'
'\u4e1'
'\x4'
'\ud800'
"""


def templates():
    """Whole templates: statements, scopes and white space."""
    return [
        # output and white space
        "", "plain", "a\n", "a\n\n", "\n", "\n\n", "a\r\nb\rc", "{{ a }}\n", "{{ a }}\n\n", " {{ a }} ",
        "  {% if t %}\n  x\n  {% endif %}\n", "x  {% if t %}  y  {% endif %}  z",
        "x\n  {%- if t %}  y  {%- endif %}  z", "x {%- if t -%} y {%- endif -%} z",
        "  {%+ if t %}\n x\n  {%+ endif %}\n", "a\n  {# c #}\n b", "a {#- c -#} b", "a\n {#+ c +#}\n b",
        "{% if t +%}\nx{% endif +%}\ny", "{% if t -%}\n\n  x{% endif -%}\n\n y", "{#\n multi \n#}\nx",
        "a{{- a -}}b", "a {{- a -}} b", "a\n{{- a -}}\nb", "  {{ a }}\n  {% set q = 1 %}\n  {{ q }}",
        "{{+ a }}", "{{ a +}}", "{{-1}}", "{{- 1}}", "{{ -1 }}", "\t{% set x = 1 %}\t\n\t{{ x }}",
        "a\u00a0{% set x = 1 %}b", "a\n\u3000{%- set x = 1 -%}\u2003b", "\x0b{% if t %}\x0c\nx{% endif %}",
        "{% raw %}{{ a }}{% endraw %}", "{% raw %}\n {{ a }} {% if %}\n{% endraw %}\nx",
        "a {%- raw -%} {{ a }} {%- endraw -%} b", "{% raw %}unclosed", "{% raw +%}x{% endraw %}",
        "  {% raw %}  x  {% endraw %}  y", "{% raw %}a{% endraw +%}\nb", "{%raw%}{%x%}{%endraw%}",
        "{# unclosed", "{#", "{{", "{%", "{{ a", "{% if", "{% if t %}", "{% endif %}", "}} %} #}", "{ { a } }",
        "{{ '}}' }}", "{{ '%}' }}", "{% set x = '{{ a }}' %}{{ x }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': 1}}}",
        "{{ {}}}", "{{ [[1]] }}", "{{ ( }}", "{{ ) }}", "{{ (] }}", "{%%}", "{{}}", "{{ }}", "{% %}", "{##}x",
        "a{##}\nb", "a{#-#}\nb", "#}x", "a\n{% if t %}\n\nb\n\n{% endif %}\n\nc", "{%- set x = 1 %}{%- set y = 2 -%}\n x",
        "{{ a }}\n{% if t %}{% endif %}\n{{ b }}", "{{ a\n}}\n{{\nb }}", "{%\nif\nt\n%}x{%\nendif\n%}",
        "{% if t %}a{% endif %}\n  \n{% if t %}b{% endif %}", "x\n   {% if t %}y{% endif %}   \nz",
        "{{ 'a\nb' }}", "{{ 'a\r\nb' }}", "  {{ a }}", "\n  {{ a }}", "\n  {%- set x=1 %}\n", "{{ 'x' }}   \n  {% set x = 1 %}  \n y",
        # if
        "{% if a %}1{% elif b %}2{% else %}3{% endif %}", "{% if z %}1{% elif e %}2{% else %}3{% endif %}",
        "{% if z %}1{% elif b %}2{% elif a %}4{% else %}3{% endif %}", "{% if z %}1{% endif %}", "{% if %}x{% endif %}",
        "{% if t: %}x{% endif %}", "{% if t %}x{% else %}y{% else %}z{% endif %}", "{% if a, b %}x{% endif %}",
        "{% if t %}x{% elif nope.x %}y{% endif %}", "{% if nope.x %}y{% endif %}", "{% if a if t else b %}x{% endif %}",
        "{% if z %}{{ 1|nofilter }}{% endif %}x", "{% if z %}{% for i in xs %}{{ i|nofilter }}{% endfor %}{% endif %}x",
        "{% for i in [] %}{{ i|nofilter }}{% endfor %}x", "{{ 1|nofilter if z else 2 }}", "{% if t %}{{ 1|nofilter }}{% endif %}",
        "{% if z %}{{ a is nosuch }}{% endif %}ok", "{% if z %}{{ f(1|nofilter) }}{% endif %}ok",
        # for
        "{% for x in xs %}{{ x }},{% endfor %}", "{% for x in [] %}{{ x }}{% else %}none{% endfor %}",
        "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
        "{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}",
        "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
        "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
        "{% for x in xs %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in xs %}{{ loop.cycle() }}{% endfor %}",
        "{% for x in [1,1,2,2,1] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in xs %}{{ loop.changed() }}{% endfor %}",
        "{% for x in xs %}{{ loop }}{% endfor %}", "{% for x in xs|select('odd') %}{{ loop.length }}{{ loop.last }}{{ x }}{% endfor %}",
        "{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}",
        "{% for x in xs if x > 9 %}{{ x }}{% else %}nothing{% endfor %}", "{% for x in xs if loop.index %}{{ x }}{% endfor %}",
        "{% for k, v in d.x.items() %}{{ k }}={{ v }}{% endfor %}", "{% for k in d %}{{ k }} {% endfor %}",
        "{% for k, v in {'a': 1, 'b': 2}|items %}{{ k }}{{ v }}{{ loop.last }}{% endfor %}",
        "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in xs %}{{ a }}{% endfor %}",
        "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}", "{% for a, b in [[1]] %}{{ a }}{% endfor %}", "{% for a, in [[1]] %}{{ a }}{% endfor %}",
        "{% for c in s %}{{ c }}.{% endfor %}", "{% for c in u %}{{ c }}.{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}",
        "{% for x in undefined_thing %}x{% else %}empty{% endfor %}", "{% for x in undefined_thing.x %}x{% endfor %}",
        "{% for x in range(3) %}{% for y in range(2) %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}|{% endfor %}",
        "{% for x in xs %}{% set outer = loop %}{% for y in [1] %}{{ outer.index }}{% endfor %}{% endfor %}",
        "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
        "{% for x in xs %}{% if loop.first %}{% break %}{% endif %}{% else %}else{% endfor %}", "{% for x in xs %}{% continue %}{% else %}else{% endfor %}",
        "{% break %}", "{% for x in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in [] %}{% else %}{% break %}{% endfor %}",
        "{% for x in xs %}{% for y in [] %}{% else %}{{ x }}{% break %}{% endfor %}{% endfor %}",
        "{% for n in tree recursive %}{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}",
        "{% for n in tree recursive %}{{ loop.depth }}{{ loop.depth0 }}{{ n.v }}{{ loop(n.c) }}{% else %}-{% endfor %}",
        "{% for n in tree if n.v != 3 recursive %}{{ n.v }}{{ loop.index }}{{ loop(n.c) }};{% endfor %}", "{% for n in tree %}{{ loop(n.c) }}{% endfor %}",
        "{% for x in xs %}{% set loop = 1 %}{% endfor %}", "{% for loop in xs %}{{ loop }}{% endfor %}", "{% for x in xs %}{% endfor %}{{ x }}", "{% for x in xs %}{{ loop.nope }}{% endfor %}",
        "{{ loop }}", "{% for x in xs %}{% endfor %}{{ loop }}", "{% for a in xs %}{{ a }}{% endfor %}{{ a }}", "{% for x in xs recursive %}{{ x }}{% endfor %}",
        "{% for x in xs, ys %}{{ x }}{% endfor %}", "{% for x in xs if t else ys %}{{ x }}{% endfor %}", "{% for x in (xs if t else ys) %}{{ x }}{% endfor %}",
        "{% for x in xs: %}{{ x }}{% endfor %}", "{% for x in %}{% endfor %}", "{% for in xs %}{% endfor %}", "{% for 1 in xs %}{% endfor %}", "{% for x.y in xs %}{% endfor %}", "{% for x of xs %}{% endfor %}",
        "{% for x in xs|reverse %}{{ x }}{{ loop.revindex }}{% endfor %}", "{% for x in xs %}{{ loop.length }}{{ loop.last }}{{ loop.nextitem }}{% endfor %}",
        "{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|length }};{{ g[0] }}{% endfor %}", "{% for age, us in users|groupby('age') %}{{ age }}{{ us|map(attribute='name')|join }}{% endfor %}",
        "{% for row in range(7)|batch(3, '-') %}{{ row|join(',') }};{% endfor %}", "{% for x in d.items() %}{{ x }}{{ loop.length }}{% endfor %}",
        "{% for x in xs %}{{ xs.pop() }}{% endfor %}{{ xs }}", "{% set q = [1,2,3] %}{% for x in q %}{{ x }}{% if x == 1 %}{{ q.pop(0) }}{% endif %}{% endfor %}", "{% set g = xs|map('abs') %}{% for x in g %}{{ x }}{% endfor %}|{% for x in g %}{{ x }}{% endfor %}",
        "{% set g = xs|map('abs') %}{{ g|first }}{{ g|list }}", "{{ ([1,'a']|map('abs'))|first }}", "{{ ([1,'a']|map('abs'))|list }}", "{% set g = xs|select %}{{ 1 in g }}{{ 1 in g }}",
        # set and scopes
        "{% set x = 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set (x, y) = [1, 2] %}{{ x }}{{ y }}", "{% set x, y = 1 %}", "{% set x, y = [1, 2, 3] %}",
        "{% set a = a + 1 %}{{ a }}", "{{ a }}{% set a = 99 %}{{ a }}", "{% set x = x %}{{ x }}", "{{ x }}{% set x = 1 %}{{ x }}", "{% set x = 1 %}{% for i in xs %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
        "{% for i in xs %}{{ q }}{% set q = i %}{{ q }}{% endfor %}{{ q }}", "{% for i in xs %}{{ a }}{% set a = i %}{{ a }}{% endfor %}{{ a }}", "{% if t %}{% set x = 1 %}{% endif %}{{ x }}", "{% if z %}{% set x = 1 %}{% endif %}{{ x }}",
        "{% if z %}{% set a = 1 %}{% endif %}{{ a }}", "{% if z %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}", "{% for i in xs %}{% if i > 1 %}{% set y = i %}{% endif %}{{ y }},{% endfor %}", "{% for i in xs %}{% if i > 1 %}{% set a = i %}{% endif %}{{ a }},{% endfor %}{{ a }}",
        "{% for i in xs %}{% if i == 3 %}{% set q = 1 %}{% elif i == 1 %}{% set q = 2 %}{% else %}{% set q = 3 %}{% endif %}{{ q }}{% endfor %}{{ q is defined }}",
        "{% set ns = namespace(x=0) %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set ns = namespace() %}{% set ns.y = 1 %}{{ ns.y }}{{ ns }}", "{% set d.k = 1 %}", "{% set nope.k = 1 %}", "{% set ns = namespace(a=1) %}{% set ns.a, b = 1, 2 %}",
        "{% set x %}block {{ a }}{% endset %}{{ x }}", "{% set x | upper %}block {{ a }}{% endset %}{{ x }}", "{% set x | replace('b', 'c') | title %}block{% endset %}{{ x }}", "{% set ns = namespace() %}{% set ns.t %}text{% endset %}{{ ns.t }}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}",
        "{% set x | default(y) %}q{% endset %}{{ x }}", "{% set x | nofilter %}q{% endset %}{{ x }}", "{% set true = 1 %}", "{% set none = 1 %}", "{% set 1 = 1 %}", "{% set x.y.z = 1 %}", "{% set x[0] = 1 %}", "{% set x = %}", "{% set x 1 %}", "{% set %}", "{% set x = 1 %}{% set x = x ~ 'b' %}{{ x }}",
        "{% with x = 1, y = 2 %}{{ x }}{{ y }}{% endwith %}{{ x }}", "{% with x = a %}{% set a = 5 %}{{ a }}{{ x }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}", "{% with x, y = [1, 2] %}{{ x }}{{ y }}{% endwith %}", "{% with (x, y) = (1, 2) %}{{ x }}{{ y }}{% endwith %}", "{% with x = 1 y = 2 %}{% endwith %}",
        "{% for x in xs %}{% with y = x %}{{ y }}{% if y == 1 %}{% break %}{% endif %}{% endwith %}{% endfor %}", "{% filter upper %}abc {{ a }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}abca{% endfilter %}", "{% filter upper %}{% set q = 1 %}{{ q }}{% endfilter %}{{ q }}", "{% filter nofilter %}x{% endfilter %}",
        "{% for x in xs %}{% filter upper %}a{{ x }}{% if x == 1 %}{% break %}{% endif %}{% endfilter %}{% endfor %}", "{% set x = 1 %}{% set x2 %}{{ x }}{% set x = 2 %}{{ x }}{% endset %}{{ x2 }}{{ x }}", "{% print a, b %}", "{% print(a) %}", "{% print %}", "{% do a %}", "{% autoescape true %}{{ html }}{{ html|safe }}{% endautoescape %}{{ html }}", "{% autoescape false %}{{ html }}{% endautoescape %}", "{% autoescape t %}{{ html }}{% endautoescape %}",
        "{% autoescape true %}{% set x %}<{{ html }}{% endset %}{{ x }}{% endautoescape %}", "{% autoescape true %}{{ html ~ ('>'|safe) }}{{ ['<', '>'|safe]|join('&') }}{% endautoescape %}", "{% autoescape true %}{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('<') }}{% endautoescape %}", "{% autoescape true %}{{ html|replace('<', '&') }}{{ {'a': '<'}|xmlattr }}{% endautoescape %}",
        # macros
        "{% macro m() %}x{% endmacro %}{{ m() }}{{ m() }}", "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='y') }}{{ m(a=5) }}{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
        "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}{{ m() }}", "{% macro m() %}{{ varargs|length }}{% endmacro %}{{ m(1, 2) }}{{ m(k=1) }}", "{% macro m(x, y=x) %}{{ y }}{% endmacro %}{{ m(3) }}", "{% macro m(x=y, y=1) %}{{ x }}{{ y }}{% endmacro %}{{ m() }}", "{% macro m(x=a) %}{{ x }}{% endmacro %}{% set a = 42 %}{{ m() }}",
        "{% macro m() %}{{ q }}{% endmacro %}{% set q = 5 %}{{ m() }}", "{% macro m() %}{{ a }}{% set a = 1 %}{{ a }}{% endmacro %}{{ m() }}{{ a }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}", "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "{% macro a2() %}{{ b2() }}{% endmacro %}{% macro b2() %}B{% endmacro %}{{ a2() }}",
        "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% for x in xs %}{% macro m() %}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor %}", "{% if t %}{% macro m() %}M{% endmacro %}{% endif %}{{ m() }}", "{% if z %}{% macro m() %}M{% endmacro %}{% endif %}{{ m() }}", "{% macro m(a, b) %}{{ a }}{{ b is defined }}{{ b }}{% endmacro %}{{ m(1) }}",
        "{% macro m() %}x{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m }}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro 1() %}{% endmacro %}", "{% macro m(1) %}{% endmacro %}", "{{ m() }}{% macro m() %}{% endmacro %}",
        "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body {{ a }}{% endcall %}", "{% macro m() %}{% for x in xs %}{{ caller(x) }},{% endfor %}{% endmacro %}{% call(i) m() %}<{{ i }}>{% endcall %}", "{% macro m() %}{{ caller(1) }}{% endmacro %}{% call(a, b=2) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% macro m(caller=none) %}{{ caller() if caller else 'none' }}{% endmacro %}{{ m() }}{% call m() %}c{% endcall %}", "{% macro m(caller) %}{{ caller() }}{% endmacro %}{% call m() %}c{% endcall %}", "{% call a %}{% endcall %}", "{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% call m(1) %}{% set a = 9 %}{{ a }}{% endcall %}{{ a }}", "{% macro o() %}{{ caller() }}{% endmacro %}{% macro i() %}{{ caller() }}!{% endmacro %}{% call o() %}{% call i() %}x{% endcall %}{% endcall %}",
        "{% macro m(kwargs) %}{{ kwargs }}{% endmacro %}{{ m(1) }}", "{% macro m(varargs) %}{{ varargs }}{% endmacro %}{{ m(1) }}", "{% macro m(x) %}{{ x|upper }}{% endmacro %}{{ xs|map('string')|map('upper')|list }}{{ m('q') }}", "{{ m(*[1], **{'b': 2}) }}", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1], **{'b': 2}) }}{{ m(*'xy') }}", "{% macro m() %}{% set x = 1 %}{% endmacro %}{{ m() }}{{ x }}", "{% macro t1() -%}\n  x\n{%- endmacro %}[{{ t1() }}]", "{% macro m(a) %}{{ a }}{% endmacro %}{% set f = m %}{{ f(3) }}{{ [m][0](4) }}",
        "{% generation %}x{{ a }}{% endgeneration %}", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "{%- generation -%} x {%- endgeneration -%} y", "{% for x in xs %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}", "{% generation %}", "{% set ns = namespace(v=0) %}{% generation %}{% set ns.v = 1 %}{% endgeneration %}{{ ns.v }}",
        # blocks and refused tags
        "{% block x %}in {{ a }}{% endblock %}", "{% block x %}1{% endblock x %}{% block y %}2{% endblock %}", "{% block x %}{% endblock %}{% block x %}{% endblock %}", "{% set q = 1 %}{% block x %}{{ q }}{% endblock %}", "{% for i in xs %}{% block x %}{{ i }}{% endblock %}{% endfor %}", "{% for i in xs %}{% block x scoped %}{{ i }}{{ loop.index }}{% endblock %}{% endfor %}", "{% block x required %}{% endblock %}", "{% block x-y %}{% endblock %}", "{% if t %}{% set q = 2 %}{% endif %}{% block x %}{{ q }}{% set q = 3 %}{{ q }}{% endblock %}{{ q }}",
        "{% include 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}", "{% trans %}x{% endtrans %}", "{% nosuch %}", "{% 1 %}", "{% end %}", "{% endfor %}", "{% else %}", "{% if t %}{% endfor %}{% endif %}", "{% for x in xs %}{% endif %}{% endfor %}",
        # objects
        "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner() %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ j(1) }}", "{% set ns = namespace(l=[]) %}{% for x in xs %}{% set ns.l = ns.l + [x] %}{% endfor %}{{ ns.l }}", "{% set ns = namespace(a=1) %}{% set ns.b = ns.a + 1 %}{{ ns.b }}{{ ns.c }}{{ ns.c is defined }}", "{{ namespace(_x=1)._x }}", "{% set x = {'a': 1} %}{% set y = dict(x, b=2) %}{{ y }}{{ x }}", "{{ {'items': 1}.items }}", "{{ {'get': 1}['get'] }}{{ {'a': 1}.get('a') }}",
        "{{ raise_exception('the message: ' + s) }}", "{% if not t %}{{ raise_exception('no') }}{% endif %}ok", "{{ strftime_now('%d %b %Y') }}", "{% set x = strftime_now %}{{ x('%Y') }}", "{% if strftime_now is defined %}{{ strftime_now('%H:%M') }}{% endif %}", "{{ [1,2,3]|sum }}{{ (1,2)|sum }}", "{{ xs|sort|string }}{{ xs }}", "{{ 'a' if nope else 'b' }}{{ 'x' if a is defined and a > 3 }}", "{{ a }}{# c #}{{ b }}{##}", "{{ s[:5] }}{{ s[6:] }}{{ s[-5:-1] }}{{ s[a:] }}",
        "{% for m in messages %}{{ '<|' ~ m.role ~ '|>' }}{% if m.content is string %}{{ m['content'] | trim }}{% elif m.tool_calls %}{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}{% endif %}{% endfor %}", "{%- for m in messages %}\n    {%- if loop.first and m.role != 'system' %}\n        {{- 'D' }}\n    {%- endif %}\n    {{- m.role + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- 'assistant' }}\n{%- endif %}\n",
        "{%- set ns = namespace(found=false, last=messages|length - 1) %}{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if not ns.found and m.role == 'user' %}{%- set ns.found = true %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}{{ ns.found }}",
        "{% set a, b = b, a %}{{ a }}{{ b }}", "{% set x = [1, 2] %}{% set y = x %}{{ x is sameas y }}", "{% macro m(d) %}{{ d.pop('k') }}{% endmacro %}{{ m(d) }}", "{{ d.setdefault('q', 1) }}", "{{ [3,1]|sort|list|length }}{{ d|length }}", "{{ (a, b) }}{{ a, b }}", "{{ a, }}", "{{ (a) }}", "{{ () }}", "{{ 1,2,3 }}", "{{ 'x'.join }}", "{{ xs|join(', ')|upper }}", "{{ a if t else }}", "{{ not }}", "{{ and }}", "{{ if }}", "{{ for }}", "{{ in }}", "{{ is }}", "{{ a is not }}", "{{ x|upper|}}", "{{ .a }}", "{{ a.1b }}",
        "{{ é }}", "{% set é = 1 %}{{ é }}", "{{ 世 }}", "{{ ²}}", "{{ a\u00b7b }}", "{{ $a }}", "{{ a ? b }}", "{{ a & b }}", "{{ a ! b }}", "{{ a != b }}", "{{ a <> b }}", "{{ a ; b }}", "{{ `a` }}", "{{ a\\b }}", "{{ 08 }}", "{{ 1__0 }}", "{{ 0x }}", "{{ 1.e5 }}", "{{ .5 }}", "{{ 5. }}", "{{ 1e }}", "{{ 1_0.5_0 }}", "{{ 99999999999999999999 }}",
    ]


def cases():
    out = [("{{ " + line + " }}", CONTEXT) for line in EXPRESSIONS.split("\n") if line]
    out += [(t, CONTEXT) for t in templates()]
    out += [("{{ '" + "line\\\n" + "continued' }}", CONTEXT)]
    return out
