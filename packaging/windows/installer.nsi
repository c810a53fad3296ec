; The installer for Windows: for one person, without elevation.
;
; makensis -DVERSION=1.2.3 -DPROGRAMS=folder -DOUTPUT=setup.exe installer.nsi
;
; Setup.exe /S installs silently and starts nothing that did not run before; /D=C:\folder, last and unquoted, says where.
; Exit codes: 0 done, 1 cancelled, 2 failed.
Unicode true
Target amd64-unicode
SetCompressor /SOLID lzma
RequestExecutionLevel user
ManifestDPIAware true

!define PRODUCT "MCPProxy"
!define CORE "mcpproxy.exe"
!define TRAY "mcpproxy-tray.exe"
!define APPS "Software\Microsoft\Windows\CurrentVersion\Uninstall\${PRODUCT}"

Name "${PRODUCT}"
OutFile "${OUTPUT}"
InstallDir "$LOCALAPPDATA\Programs\${PRODUCT}"
InstallDirRegKey HKCU "${APPS}" InstallLocation
BrandingText "${PRODUCT} ${VERSION}"
VIProductVersion "${VERSION}.0"
VIAddVersionKey ProductName "${PRODUCT}"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey FileDescription "${PRODUCT} Setup"
VIAddVersionKey CompanyName "MCPProxy contributors"
VIAddVersionKey LegalCopyright "MIT License"

!include MUI2.nsh
!include FileFunc.nsh
!define MUI_ICON "../../assets/icons/mcpproxy.ico"
!define MUI_UNICON "../../assets/icons/mcpproxy.ico"
!define MUI_WELCOMEFINISHPAGE_BITMAP "../../assets/windows/setup.bmp"
!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_RUN
!define MUI_FINISHPAGE_RUN_TEXT "Launch ${PRODUCT} now"
!define MUI_FINISHPAGE_RUN_FUNCTION Launch
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Var ran ; whether a tray ran that was ended here

; One installer or uninstaller at a time.
!macro Alone
    System::Call 'kernel32::CreateMutexW(p 0, i 0, w "${PRODUCT} Setup") p .r1 ?e'
    Pop $0
    ${If} $0 = 183 ; there already
        MessageBox MB_OK|MB_ICONEXCLAMATION "Another ${PRODUCT} installer is running. Finish it first." /SD IDOK
        SetErrorLevel 2
        Quit
    ${EndIf}
!macroend

; Ends the tray of this folder, and the core that it started. Its file can be written then: a running one cannot.
!macro EndTray
    StrCpy $ran ""
    ${If} ${FileExists} "$INSTDIR\${TRAY}"
        ClearErrors
        FileOpen $0 "$INSTDIR\${TRAY}" a
        ${If} ${Errors}
            StrCpy $ran yes
            ExecWait '"$INSTDIR\${TRAY}" --quit'
        ${Else}
            FileClose $0
        ${EndIf}
    ${EndIf}
!macroend

; A core that the user started keeps running from its old file, under another name.
!macro MakeWay file
    ${If} ${FileExists} "$INSTDIR\${file}"
        Delete "$INSTDIR\${file}.old"
        ClearErrors
        Delete "$INSTDIR\${file}"
        ${If} ${Errors}
            Rename "$INSTDIR\${file}" "$INSTDIR\${file}.old"
        ${EndIf}
        ClearErrors
    ${EndIf}
!macroend

Function .onInit
    !insertmacro Alone
FunctionEnd

Function un.onInit
    !insertmacro Alone
FunctionEnd

Section
    !insertmacro EndTray
    SetOutPath "$INSTDIR"
    !insertmacro MakeWay "${CORE}"
    !insertmacro MakeWay "${TRAY}"
    ClearErrors
    File "${PROGRAMS}/${CORE}"
    File "${PROGRAMS}/${TRAY}"
    File /oname=LICENSE.txt "../../LICENSE"
    WriteUninstaller "$INSTDIR\uninstall.exe"
    ${If} ${Errors}
        SetErrorLevel 2
        MessageBox MB_OK|MB_ICONSTOP "Cannot write to $INSTDIR. Check that the disk is not full and that you may write to the folder, then run this installer again." /SD IDOK
        Abort
    ${EndIf}
    CreateShortcut "$SMPROGRAMS\${PRODUCT}.lnk" "$INSTDIR\${TRAY}"
    WriteRegStr HKCU "${APPS}" DisplayName "${PRODUCT}"
    WriteRegStr HKCU "${APPS}" DisplayVersion "${VERSION}"
    WriteRegStr HKCU "${APPS}" DisplayIcon "$INSTDIR\${TRAY}"
    WriteRegStr HKCU "${APPS}" Publisher "MCPProxy contributors"
    WriteRegStr HKCU "${APPS}" URLInfoAbout "https://mcpproxy.app"
    WriteRegStr HKCU "${APPS}" InstallLocation "$INSTDIR"
    WriteRegStr HKCU "${APPS}" UninstallString '"$INSTDIR\uninstall.exe"'
    WriteRegStr HKCU "${APPS}" QuietUninstallString '"$INSTDIR\uninstall.exe" /S'
    WriteRegDWORD HKCU "${APPS}" NoModify 1
    WriteRegDWORD HKCU "${APPS}" NoRepair 1
    ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
    WriteRegDWORD HKCU "${APPS}" EstimatedSize $0
    ; The script's own strings are too short for a PATH.
    ExecWait '"$INSTDIR\${TRAY}" --add-to-path' $0
    ${If} $0 <> 0
        DetailPrint "Could not change PATH: terminals will not find ${CORE}."
    ${EndIf}
    ; An upgrade while the tray was running: it is restarted, without the installer as its launch source.
    ${If} $ran == yes
    ${AndIf} ${Silent}
        Exec '"$INSTDIR\${TRAY}"'
    ${EndIf}
SectionEnd

; Ticked on the last page. The word is for the first start after the first installation.
Function Launch
    ${If} $ran != yes
        System::Call 'kernel32::SetEnvironmentVariableW(w "MCPPROXY_LAUNCHED_BY", w "installer")'
    ${EndIf}
    Exec '"$INSTDIR\${TRAY}"'
FunctionEnd

Section Uninstall
    !insertmacro EndTray
    ; The Run value, its state in Task Manager, and the entry in PATH.
    ExecWait '"$INSTDIR\${TRAY}" --unregister'
    Delete "$SMPROGRAMS\${PRODUCT}.lnk"
    Delete "$INSTDIR\${CORE}.old"
    Delete "$INSTDIR\${TRAY}.old"
    Delete /REBOOTOK "$INSTDIR\${CORE}"
    Delete /REBOOTOK "$INSTDIR\${TRAY}"
    Delete "$INSTDIR\LICENSE.txt"
    Delete "$INSTDIR\uninstall.exe"
    RMDir "$INSTDIR" ; only when nothing of anybody's is left in it
    DeleteRegKey HKCU "${APPS}"
    ${If} ${FileExists} "$PROFILE\.mcpproxy\*.*"
        MessageBox MB_YESNO|MB_ICONQUESTION|MB_DEFBUTTON2 "Remove your servers, settings and logs in $PROFILE\.mcpproxy as well?" /SD IDNO IDNO keep
        RMDir /r "$PROFILE\.mcpproxy"
        keep:
    ${EndIf}
SectionEnd
