/* Functions that Rust programs with a tray icon need and Wine 8 lacks. Only used in the tests' temporary Windows.
 *
 * Rust's standard library takes random bytes from ProcessPrng of a bcryptprimitives.dll that Wine 8 does not have. And
 * Shell_NotifyIconGetRect is not implemented in any Wine up to 10; the tray-icon library drops every click without it. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
    return SystemFunction036(buffer, (ULONG)length);
}

static HRESULT WINAPI rectangle_of_icon(const void *icon, RECT *rectangle) {
    (void)icon;
    SetRectEmpty(rectangle);
    return S_OK;
}

/* Redirects the function of the loaded shell32 to ours: `movabs rax, address; jmp rax`. */
static void replace(BYTE *function, void *by) {
    DWORD old;
    BYTE code[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    if (!function || !VirtualProtect(function, sizeof code, PAGE_EXECUTE_READWRITE, &old)) return;
    CopyMemory(code + 2, &by, sizeof by);
    CopyMemory(function, code, sizeof code);
    VirtualProtect(function, sizeof code, old, &old);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved) {
    (void)instance;
    (void)reserved;
    HMODULE shell = reason == DLL_PROCESS_ATTACH ? GetModuleHandleA("shell32.dll") : NULL;
    if (shell) replace((BYTE *)GetProcAddress(shell, "Shell_NotifyIconGetRect"), rectangle_of_icon);
    return TRUE;
}
